package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const deliverPipeline = `
$INPUT
pipeline:
  processors:
    - g0_identify: {}
    - g0_notify:
        mode: realtime
        rate_limit: 0s
        targets: [ { name: hook, url: "$HOOK", timeout: 1s } ]
`

// TestDifficultTarget alerts a target that wants to be left alone, then fails,
// then hangs, and only then takes what it is given.
func TestDifficultTarget(t *testing.T) {
	t.Parallel()
	const alerts, retryAfter = 5, 1 // seconds
	hung := make(chan struct{})
	h := newHook(t, func(w http.ResponseWriter, attempt int) {
		switch attempt {
		case 0:
			w.Header().Set("Retry-After", fmt.Sprint(retryAfter))
			w.WriteHeader(http.StatusTooManyRequests)
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			<-hung
			w.WriteHeader(http.StatusServiceUnavailable) // to nobody
		}
	})
	t.Cleanup(func() { close(hung) })
	p := newProcess(t, strings.ReplaceAll(deliverPipeline, "$HOOK", h.url))
	p.start()
	for n := range alerts {
		p.accepts("/events", fmt.Appendf(nil, `{"type":%q,"agentId":"research","data":{"n":%d,"severity":"critical"}}`,
			event.TypeMessageBlocked, n), 1)
	}
	p.until("the last alert", func() bool { return len(h.taken()) >= alerts && p.atRest() })
	p.stop()
	ids := map[int]map[string]bool{}
	for _, a := range h.taken() {
		note(ids, number(t, a.Event.Data), a.ID)
	}
	if got := slices.Sorted(maps.Keys(ids)); len(got) != alerts {
		t.Errorf("alerts of the events %d arrived, want %d", got, alerts)
	}
	all := h.all()
	if len(all) != alerts+3 {
		t.Errorf("%d attempts, want one for each of %d alerts, and the three in vain", len(all), alerts)
	}
	if pause := all[1].at.Sub(all[0].done); pause < retryAfter*time.Second {
		t.Errorf("came again %s after the answer, want at least %ds", pause, retryAfter)
	}
}
