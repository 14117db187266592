package component_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/guard0-ai/g0-sidecar/pipeline/notify"
)

// TestHeartbeat wants a dead man's switch to be called, and /health to say so.
func TestHeartbeat(t *testing.T) {
	calls := make(chan string, 100)
	deadMan := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { calls <- r.Method + " " + r.URL.Path }))
	defer deadMan.Close()
	dir := t.TempDir()
	s := start(t, dir, pipeline(dir, "- g0_notify: { heartbeat: { url: "+deadMan.URL+"/token, interval: 1s, timeout: 1s } }", fileYAML))
	for range 2 {
		if got := <-calls; got != "GET /token" {
			t.Errorf("called with %s", got)
		}
	}
	s.until("the health to tell of it", func() bool {
		h, _ := s.spine.Health()
		is, ok := h.Outbox.(notify.Status)
		return ok && is.Heartbeat != nil && !is.Heartbeat.LastSuccess.IsZero()
	})
	s.stop()
}
