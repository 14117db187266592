package component

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// TestAlarmsOutlastAFullDisk: a journal that takes nothing for a while ends neither
// g0 nor the alert.
func TestAlarmsOutlastAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		full := time.Now().Add(5 * time.Minute)
		a := &alarms{
			log: slog.New(slog.DiscardHandler), board: coverage.New(time.Now, func(*event.Event) {}), wake: make(chan struct{}, 1),
			own: func(_ context.Context, ev *event.Event) (uint64, error) {
				if time.Now().Before(full) {
					return 0, errors.New("no space left on device")
				}
				told = append(told, ev.Cause)
				return 1, nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		a.tell(&event.Event{ID: "trip", Type: event.TypeKillSwitchTripped, Agent: event.Agent{ID: "research", By: event.ByToken}})
		time.Sleep(10 * time.Minute)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(told) != 1 || told[0] != "trip" {
			t.Errorf("told %q", told)
		}
	})
}
