package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// compare finds out what the store lacks, and hands on what others left there for
// agents that are not known here. Nothing is written before.
func (k *Keeper) compare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	// The store first: what is here is then at least as new.
	there, err := k.remote.List(ctx)
	if errors.Is(err, ErrTooMany) {
		k.opt.Board.Count(k.opt.Part, "too many records", clean(err), 1)
	} else if err != nil {
		return err
	}
	saved, err := k.local.Seq()
	if err != nil {
		return err
	}
	local, err := k.local.List(ctx)
	if err != nil {
		return err
	}
	here := make(map[string]Meta, len(local))
	for _, m := range local {
		here[m.Key] = m
	}
	if k.setBack(there, here, saved) {
		if err := k.local.Renew(); err != nil {
			return err
		}
		k.opt.Log.Warn("the store is ahead of the state folder, which was set back: it is taken for another's", "part", k.opt.Part)
	}
	for _, m := range there {
		mine, known := here[m.Key]
		delete(here, m.Key)
		handed := false
		if m.Err == nil && m.Instance != k.local.Instance() {
			if handed, err = k.adopt(ctx, m); err != nil {
				return err
			}
		}
		switch {
		case handed: // what comes of it is a change
		case k.lags(m, mine, known):
			k.again(m.Key)
		case m.Err != nil:
			k.opt.Board.Count(k.opt.Part, "unreadable record", clean(fmt.Errorf("%q: %w", m.Key, m.Err)), 1)
		}
	}
	for key := range here {
		k.again(key)
	}
	return nil
}

// lags says whether the store's record m is not what is here.
func (k *Keeper) lags(m, mine Meta, known bool) bool {
	own := k.local.Instance()
	switch {
	case !known:
		return m.Err == nil && m.Instance == own // its agent is gone
	case m.Err != nil || m.Instance != own || mine.Instance != own:
		return true
	}
	return mine.Seq != m.Seq
}

// setBack says whether the store has of this very instance what it cannot have
// written yet: its state folder was replaced by an older copy.
func (k *Keeper) setBack(there []Meta, here map[string]Meta, saved uint64) bool {
	own := k.local.Instance()
	for _, m := range there {
		if m.Err != nil || m.Instance != own {
			continue
		}
		if mine, known := here[m.Key]; m.Seq > saved || known && mine.Instance == own && mine.Seq < m.Seq {
			return true
		}
	}
	return false
}

// adopt hands on another instance's record, once, if its agent was not known here
// at the start or is poorly known. While it says true the record stays: nothing came
// of it yet.
func (k *Keeper) adopt(ctx context.Context, m Meta) (bool, error) {
	k.mu.Lock()
	waits, before := k.adopted[m.Key]
	full := len(k.adopted) >= maxAdopted || k.bytes >= maxAdoptedBytes
	k.mu.Unlock()
	if k.opt.Adopt == nil || before || k.known[m.Key] && (k.opt.Poor == nil || !k.opt.Poor(m.Key)) {
		return waits, nil
	}
	if full {
		k.opt.Board.Count(k.opt.Part, "not taken over", fmt.Sprintf("baselines of others: more than %d, or %d bytes", maxAdopted, maxAdoptedBytes), 1)
		return false, nil
	}
	rec, err := k.remote.Get(ctx, m.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrTooLarge):
		k.opt.Board.Count(k.opt.Part, "not taken over", clean(err), 1)
		return false, nil
	case err != nil:
		return false, err
	}
	k.mu.Lock()
	k.adopted[m.Key] = true
	k.bytes += len(rec.Body)
	changed := k.dirty[m.Key]
	delete(k.dirty, m.Key) // until it changes again
	k.mu.Unlock()
	if !k.opt.Adopt(rec) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.adopted[m.Key] = false
		if changed {
			k.dirty[m.Key] = true
		}
		return false, nil
	}
	k.opt.Log.Info("took over a baseline from the store", "part", k.opt.Part, "agent", m.Key, "instance", event.Clean(m.Instance, MaxInstance))
	return true, nil
}

// write brings the store up to date, batch by batch. What fails stays to be
// written; where nothing of a batch is taken it gives up.
func (k *Keeper) write(ctx context.Context) error {
	var failed []string
	var first error
	defer func() { k.again(failed...) }()
	for {
		b, err := k.take()
		if err != nil {
			return err
		}
		if b.len() == 0 {
			return first
		}
		errs := append(k.remote.Put(ctx, b.put...), k.remote.Delete(ctx, b.gone...)...)
		bad := 0
		for i, err := range errs {
			if err == nil {
				continue
			}
			bad++
			failed = append(failed, b.key(i))
			if first == nil {
				first = err
			}
		}
		if bad == b.len() {
			return first
		}
		if bad == 0 {
			k.opt.Board.Seen(k.opt.Part, time.Now())
		}
	}
}

// batch is what is written at once.
type batch struct {
	put  []Record
	gone []Meta
}

func (b *batch) len() int { return len(b.put) + len(b.gone) }

func (b *batch) key(i int) string {
	if i < len(b.put) {
		return b.put[i].Key
	}
	return b.gone[i-len(b.put)].Key
}

// take reads the next batch of what is to be written, as it is now.
func (k *Keeper) take() (batch, error) {
	seq, err := k.local.Seq()
	if err != nil {
		return batch{}, err
	}
	own := k.local.Instance()
	var b batch
	for bytes := 0; b.len() < batchRecords && bytes < batchBytes; {
		key, ok := k.next()
		if !ok {
			break
		}
		rec, err := k.local.Get(context.Background(), key)
		switch {
		case errors.Is(err, ErrNotFound):
			b.gone = append(b.gone, Meta{Key: key, Instance: own, Seq: seq})
			continue
		case err != nil:
			k.opt.Board.Count(k.opt.Part, "unreadable here", clean(err), 1)
			continue
		}
		if rec.Instance != own { // put here by a person: it is ours from now on
			rec.Instance, rec.Seq = own, seq
		}
		b.put = append(b.put, rec)
		bytes += len(rec.Body)
	}
	return b, nil
}

// next takes one key from those that are to be written.
func (k *Keeper) next() (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key := range k.dirty {
		delete(k.dirty, key)
		return key, true
	}
	return "", false
}

// again notes keys that are to be written, without waking Run.
func (k *Keeper) again(keys ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range keys {
		k.dirty[key] = true
	}
}
