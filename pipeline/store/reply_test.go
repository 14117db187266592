package store

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestReplies(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("*2\r\n:1\r\n", n) }
	tests := []struct {
		name, answer string
		want         error
	}{
		{"status", "+OK\r\n", nil},
		{"string", "$3\r\na\nb\r\n+OK\r\n", nil},
		{"empty string, then another", "$0\r\n\r\n$1\r\na\r\n", nil},
		{"nothing", "$-1\r\n*-1\r\n*0\r\n_\r\n", nil},
		{"a map in an array", "*2\r\n%1\r\n+a\r\n:1\r\n~1\r\n#t\r\n+OK\r\n", nil},
		{"a string that looks like a length", "$14\r\n$999999999999\n\r\n", nil},
		{"as deep as it may be", nested(maxNested) + strings.Repeat(":2\r\n", maxNested), nil},
		{"many deep ones after each other", strings.Repeat("*1\r\n*1\r\n:1\r\n", 1000), nil},
		{"too deep", nested(maxNested + 1), ErrTooLarge},
		{"long string", "$4194305\r\n", ErrTooLarge},
		{"length that overflows", "$9223372036854775807\r\n", ErrTooLarge},
		{"negative length", "$-2\r\n", ErrTooLarge},
		{"no length", "$\r\n", ErrTooLarge},
		{"long array", "*65537\r\n", ErrTooLarge},
		{"long map", "%32769\r\n", ErrTooLarge},
		{"long array in an array", "*1\r\n*2147483647\r\n", ErrTooLarge},
		{"endless line", "+" + strings.Repeat("a", maxLine), ErrTooLarge},
		{"endless answer", strings.Repeat("$65536\r\n"+strings.Repeat("a", 65536)+"\r\n", 257), ErrTooLarge},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n", errNotRedis},
		{"no line", "\n", errNotRedis},
		{"no carriage return", "+OK\n", errNotRedis},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, step := range []int{len(tt.answer), 1, 7} {
				if err := feedBy(tt.answer, step); !errors.Is(err, tt.want) || err != nil && tt.want == nil {
					t.Errorf("%d bytes at a time: %v, want %v", step, err, tt.want)
				}
			}
		})
	}
}

func feedBy(answer string, step int) error {
	var r replies
	for len(answer) > 0 {
		n := min(step, len(answer))
		if err := r.feed([]byte(answer[:n])); err != nil {
			return err
		}
		answer = answer[n:]
	}
	return nil
}

func TestARequestGetsAnAnswerOfItsOwn(t *testing.T) {
	var r replies
	chunk := []byte("$1048576\r\n" + strings.Repeat("a", 1<<20) + "\r\n")
	for range 40 {
		r.asked()
		if err := r.feed(chunk); err != nil {
			t.Fatal(err)
		}
	}
}

// canned is a connection to a server that says the same whatever it is asked.
type canned struct {
	net.Conn
	answer io.Reader
}

func (c *canned) Read(b []byte) (int, error)       { return c.answer.Read(b) }
func (c *canned) Write(b []byte) (int, error)      { return len(b), nil }
func (c *canned) Close() error                     { return nil }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }
func (c *canned) RemoteAddr() net.Addr             { return &net.UnixAddr{} }

// FuzzReplies gives go-redis what the guard lets through: neither panics, and cut
// elsewhere the same bytes are judged the same.
func FuzzReplies(f *testing.F) {
	f.Add([]byte("+OK\r\n*2\r\n$1\r\n0\r\n*1\r\n$22\r\ng0:baseline:{research}\r\n*3\r\n$3\r\none\r\n$1\r\n7\r\n$-1\r\n"), byte(3))
	f.Add([]byte("-NOAUTH no\r\n:1\r\n$1\r\na\r\n$4\r\nbody\r\n"), byte(1))
	f.Add([]byte("*1\r\n*1\r\n*1\r\n*1\r\n$9223372036854775807\r\n"), byte(9))
	f.Add([]byte("%1\r\n+a\r\n:1\r\n>2\r\n+message\r\n_\r\n=6\r\ntxt:ab\r\n"), byte(2))
	f.Fuzz(func(t *testing.T, answer []byte, step byte) {
		whole, cut := feedBy(string(answer), max(1, len(answer))), feedBy(string(answer), int(step)+1)
		if (whole == nil) != (cut == nil) {
			t.Errorf("whole: %v; cut: %v", whole, cut)
		}
		cfg := DefaultRedis
		cfg.Addresses = []string{"unix:///none"}
		r, err := NewRedis(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.client.Close(); err != nil {
			t.Fatal(err)
		}
		r.client = redis.NewClient(&redis.Options{
			Protocol: 2, MaxRetries: -1, DisableIdentity: true,
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				return &guarded{Conn: &canned{answer: strings.NewReader("-ERR unknown command\r\n" + string(answer))}, failed: &r.failed}, nil
			},
		})
		defer r.Close()
		ctx := t.Context()
		_, _ = r.Generation(ctx)
		if metas, err := r.List(ctx); err == nil && len(metas) > MaxRecords {
			t.Errorf("%d records", len(metas))
		}
		if rec, err := r.Get(ctx, "research"); err == nil && len(rec.Body) > MaxBody {
			t.Errorf("body of %d bytes", len(rec.Body))
		}
		_ = r.Put(ctx, Record{Meta: Meta{Key: "research", Instance: "one"}})
	})
}

// FuzzKey: each key has one name, and no other name is taken for a key.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"research", "a@b", "%41", "{*}", "\x00\xff", "", "%zz", "%4", "%7B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name := escapeKey(s)
		if strings.ContainsAny(name, "{}*?[]\\ \r\n") {
			t.Errorf("%q is written %q", s, name)
		}
		if key, ok := unescapeKey(name); ok != (s != "" && len(s) <= MaxKey) || ok && key != s {
			t.Errorf("%q is written %q and read %q, %v", s, name, key, ok)
		}
		if key, ok := unescapeKey(s); ok && escapeKey(key) != s {
			t.Errorf("%q and %q are both %q", s, escapeKey(key), key)
		}
	})
}
