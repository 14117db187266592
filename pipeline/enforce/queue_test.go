package enforce

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

var _ Queue = (*state.Queue)(nil)

// openQueue opens the real queue; call it outside a bubble.
func openQueue(t *testing.T, path string) Queue {
	t.Helper()
	db, err := state.Open(path)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	q, err := db.Queue("intents")
	must(t, err)
	return q
}

// crash gives a copy of the queue's file as kill -9 would leave it now: what is
// durable and nothing else.
func crash(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	image := filepath.Join(t.TempDir(), "crashed")
	must(t, os.WriteFile(image, b, 0o600))
	return image
}
