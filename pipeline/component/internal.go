package component

import (
	"context"
	"sync"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"
)

// checkEvery is how often deadlines of the stages are looked at.
const checkEvery = 250 * time.Millisecond

func internalSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Carries what g0 itself has to say: timers, results of actions, what an operator asked for, lost and restored coverage.").
		Description("These events are journalled like all others, so that a replay of the journal decides the same. "+
			"`g0 run` refuses a pipeline without it.").
		Example("Always there", "Beside the sources.", `
input:
  broker:
    inputs:
      - g0_receiver: {}
      - g0_internal: {}
`)
}

// internalInput turns the stages' deadlines into timer events.
type internalInput struct {
	reader
	start sync.Once
}

func (rt *Runtime) newInternal(*service.ParsedConfig, *service.Resources) (service.BatchInput, error) {
	if rt.Spine == nil {
		return nil, errNeedsRun
	}
	return &internalInput{reader: rt.reader()}, nil
}

// Connect starts the timers.
func (in *internalInput) Connect(context.Context) error {
	in.start.Do(func() {
		in.spine.Source("timers", func(ctx context.Context) error {
			t := time.NewTicker(checkEvery)
			defer t.Stop()
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-t.C:
					in.spine.Tick()
				}
			}
		})
	})
	return nil
}
