package enforce

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever is read can be written and read again, and says the same.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"active":true}`, `{"schema":1}`, `{"schema":-1}`, `{"schema":2}`, `{"schema":1,"agents":null}`,
		`{"schema":1,"active":true,"agents":{"a":{"since":"2026-03-01T12:00:01Z","rule":"r","reason":"\u0000","cause":"c"}}}`,
		`{"schema":1,"agents":{"a":{"since":"9999-12-31T23:59:59.999999999Z"},"b":{"since":"0001-01-01T00:00:00Z"}}}`,
	} {
		f.Add([]byte(seed))
	}
	root, err := os.OpenRoot(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := root.Close(); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDocument(b)
		if err != nil {
			return
		}
		must(t, d.write(root, "ks"))
		again, err := readDocument(root, "ks")
		must(t, err)
		if diff := cmp.Diff(d, again); diff != "" {
			t.Error(diff)
		}
	})
}
