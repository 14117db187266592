package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// newerThan begins both scripts: what is there, and a function that compares two
// Seqs. Lua's numbers are exact only to 2^53, so it compares the digits. A Seq that
// is none is older than any.
const newerThan = `local function newer(a, b)
	if #a ~= #b then return #a > #b end
	return a > b
end
local have = redis.call('HMGET', KEYS[1], 'instance', 'seq')
local seq = have[2]
if not seq or not string.match(seq, '^%d+$') or newer(seq, '18446744073709551615') then seq = '' end
`

// putScript keeps a record unless the same instance wrote a newer one. It is sent
// with each record: a server that was started anew would not know it by its hash.
const putScript = newerThan + `if have[1] == ARGV[1] and newer(seq, ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'instance', ARGV[1], 'seq', ARGV[2], 'body', ARGV[3], 'updated', ARGV[4])
return 1`

// deleteScript takes a record of the instance away.
const deleteScript = newerThan + `if have[1] ~= ARGV[1] then return 1 end
if newer(seq, ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1])
return 1`

// wrongType begins Redis's answer where a key is no hash.
const wrongType = "WRONGTYPE"

// metaFields are read before a body.
var metaFields = []string{"instance", "seq", "updated"}

// Put implements [Store]. All go in one pipeline.
func (r *Redis) Put(ctx context.Context, records ...Record) []error {
	errs := make([]error, len(records))
	updated := time.Now().UTC().Format(time.RFC3339)
	cmds := make([]*redis.Cmd, len(records))
	err := r.pipelined(ctx, func(ctx context.Context, p redis.Pipeliner) {
		for i, rec := range records {
			if errs[i] = rec.validate(); errs[i] == nil {
				cmds[i] = p.Eval(ctx, putScript, []string{r.key(rec.Key)}, rec.Instance, strconv.FormatUint(rec.Seq, 10), rec.Body, updated)
			}
		}
	})
	if err != nil {
		return every(len(records), fmt.Errorf("redis: write: %w", err))
	}
	for i, c := range cmds {
		if c != nil {
			errs[i] = outcome(c, records[i].Key)
		}
	}
	return errs
}

// Delete implements [Store]. All go in one pipeline.
func (r *Redis) Delete(ctx context.Context, records ...Meta) []error {
	errs := make([]error, len(records))
	cmds := make([]*redis.Cmd, len(records))
	err := r.pipelined(ctx, func(ctx context.Context, p redis.Pipeliner) {
		for i, m := range records {
			if errs[i] = m.validate(); errs[i] == nil {
				cmds[i] = p.Eval(ctx, deleteScript, []string{r.key(m.Key)}, m.Instance, strconv.FormatUint(m.Seq, 10))
			}
		}
	})
	if err != nil {
		return every(len(records), fmt.Errorf("redis: delete: %w", err))
	}
	for i, c := range cmds {
		if c != nil {
			errs[i] = outcome(c, records[i].Key)
		}
	}
	return errs
}

// outcome of one of the scripts.
func outcome(c *redis.Cmd, key string) error {
	switch kept, err := c.Int(); {
	case err != nil:
		return fmt.Errorf("redis: write %q: %w", key, err)
	case kept == 0:
		return fmt.Errorf("redis: write %q: %w", key, ErrStale)
	}
	return nil
}

// Get implements [Store]. It asks how large the body is before it asks for it.
func (r *Redis) Get(ctx context.Context, key string) (Record, error) {
	rec, err := r.get(ctx, key)
	if err != nil {
		return Record{}, fmt.Errorf("redis: read %q: %w", key, r.explained(err))
	}
	return rec, nil
}

func (r *Redis) get(ctx context.Context, key string) (Record, error) {
	ctx, cancel := r.within(ctx)
	defer cancel()
	size, err := r.client.HStrLen(ctx, r.key(key), "body").Result()
	if redis.HasErrorPrefix(err, wrongType) {
		return Record{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return Record{}, err
	}
	if size > MaxBody {
		return Record{}, fmt.Errorf("%w: body of %d bytes, at most %d", ErrTooLarge, size, MaxBody)
	}
	got, err := r.client.HMGet(ctx, r.key(key), slices.Concat(metaFields, []string{"body"})...).Result()
	if err != nil {
		return Record{}, err
	}
	if !slices.ContainsFunc(got, func(v any) bool { return v != nil }) {
		return Record{}, ErrNotFound
	}
	m := metaOf(key, got)
	if m.Err != nil {
		return Record{}, m.Err
	}
	body, ok := got[len(got)-1].(string)
	if !ok {
		return Record{}, fmt.Errorf("%w: it has no body", ErrDamaged)
	}
	return Record{Meta: m, Body: []byte(body)}, nil
}

// metaOf reads metaFields.
func metaOf(key string, got []any) Meta {
	m := Meta{Key: key}
	if len(got) < len(metaFields) {
		m.Err = fmt.Errorf("%w: %d fields", ErrDamaged, len(got))
		return m
	}
	instance, _ := got[0].(string)
	seq, _ := got[1].(string)
	updated, _ := got[2].(string)
	n, err := strconv.ParseUint(seq, 10, 64)
	if instance == "" || len(instance) > MaxInstance || err != nil || strconv.FormatUint(n, 10) != seq {
		m.Err = fmt.Errorf("%w: instance %.70q, seq %.30q", ErrDamaged, instance, seq)
		return m
	}
	m.Instance, m.Seq = instance, n
	if at, err := time.Parse(time.RFC3339, updated); err == nil {
		m.Updated = at
	}
	return m
}

// List implements [Store]: SCAN on every master.
func (r *Redis) List(ctx context.Context) ([]Meta, error) {
	var mu sync.Mutex
	seen := map[string]bool{} // SCAN may give a key twice
	var keys []string
	err := r.eachMaster(ctx, func(ctx context.Context, node redis.Cmdable) error {
		return r.scan(ctx, node, func(page []string) error {
			mu.Lock()
			defer mu.Unlock()
			for _, name := range page {
				key, ok := r.keyOf(name)
				if !ok || seen[key] {
					continue
				}
				if len(keys) == MaxRecords {
					return ErrTooMany
				}
				seen[key] = true
				keys = append(keys, key)
			}
			return nil
		})
	})
	if err != nil && !errors.Is(err, ErrTooMany) {
		return nil, fmt.Errorf("redis: list: %w", r.explained(err))
	}
	var out []Meta
	for page := range slices.Chunk(keys, scanCount) {
		metas, failed := r.metas(ctx, page)
		if failed != nil {
			return nil, fmt.Errorf("redis: list: %w", failed)
		}
		out = append(out, metas...)
	}
	slices.SortFunc(out, func(a, b Meta) int { return cmp.Compare(a.Key, b.Key) })
	if err != nil {
		return out, fmt.Errorf("redis: list: %w: more than %d", ErrTooMany, MaxRecords)
	}
	return out, nil
}

// scan gives the names of one node's keys, page by page.
func (r *Redis) scan(ctx context.Context, node redis.Cmdable, fn func([]string) error) error {
	for cursor := uint64(0); ; {
		once, cancel := r.within(ctx)
		page, next, err := node.Scan(once, cursor, r.cfg.Prefix+":{*}", scanCount).Result()
		cancel()
		if err == nil {
			err = fn(page)
		}
		if err != nil || next == 0 {
			return err
		}
		cursor = next
	}
}

// metas reads a page of records without their bodies; one that was taken away in
// the meantime is left out.
func (r *Redis) metas(ctx context.Context, keys []string) ([]Meta, error) {
	cmds := make([]*redis.SliceCmd, len(keys))
	err := r.pipelined(ctx, func(ctx context.Context, p redis.Pipeliner) {
		for i, key := range keys {
			cmds[i] = p.HMGet(ctx, r.key(key), metaFields...)
		}
	})
	if err != nil {
		return nil, err
	}
	var out []Meta
	for i, c := range cmds {
		got, err := c.Result()
		switch {
		case err != nil && !redis.HasErrorPrefix(err, wrongType):
			return nil, err
		case err != nil:
			out = append(out, Meta{Key: keys[i], Err: fmt.Errorf("%w: %w", ErrDamaged, err)})
		case slices.ContainsFunc(got, func(v any) bool { return v != nil }):
			out = append(out, metaOf(keys[i], got))
		}
	}
	return out, nil
}

// maxMark is the longest marker, in bytes.
const maxMark = 64

// Generation is a name for what the servers hold at present: it is another one
// when a marker was lost, and when there was a new connection, since a replica that
// became the master may lack the last writes. It writes a marker where none is, so
// it also says whether they can be written to.
func (r *Redis) Generation(ctx context.Context) (string, error) {
	cmds := make([]*redis.StringCmd, len(r.marks))
	set := make([]*redis.BoolCmd, len(r.marks))
	err := r.pipelined(ctx, func(ctx context.Context, p redis.Pipeliner) {
		for i, mark := range r.marks {
			set[i] = p.SetNX(ctx, mark, rand.Text(), 0)
			cmds[i] = p.Get(ctx, mark)
		}
	})
	if err != nil {
		return "", fmt.Errorf("redis: %w", err)
	}
	var b strings.Builder
	for i, c := range cmds {
		mark, err := c.Result()
		if err = cmp.Or(set[i].Err(), err); err != nil {
			return "", fmt.Errorf("redis: mark %s: %w", r.marks[i], err)
		}
		if len(mark) > maxMark {
			return "", fmt.Errorf("redis: mark %s: %w: %d bytes", r.marks[i], ErrTooLarge, len(mark))
		}
		b.WriteString(mark)
		b.WriteByte(' ')
	}
	return b.String() + strconv.FormatInt(r.dials.Load(), 10), nil
}
