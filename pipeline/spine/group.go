package spine

import (
	"context"
	"fmt"
	"sync"
)

// group runs goroutines until it is stopped; the first error is told.
type group struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	failed chan error
}

func newGroup() *group {
	ctx, cancel := context.WithCancel(context.Background())
	return &group{ctx: ctx, cancel: cancel, failed: make(chan error, 1)}
}

func (g *group) run(name string, f func(context.Context) error) {
	g.wg.Go(func() {
		if err := f(g.ctx); err != nil && g.ctx.Err() == nil {
			g.fail(fmt.Errorf("%s: %w", name, err))
		}
	})
}

func (g *group) fail(err error) {
	select {
	case g.failed <- err:
	default:
	}
}

func (g *group) stop() {
	g.cancel()
	g.wg.Wait()
}
