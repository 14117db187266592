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
	failed chan error

	mu sync.Mutex // nothing starts once stop waits
	wg sync.WaitGroup
}

func newGroup() *group {
	ctx, cancel := context.WithCancel(context.Background())
	return &group{ctx: ctx, cancel: cancel, failed: make(chan error, 1)}
}

// run starts f, unless the group was stopped.
func (g *group) run(name string, f func(context.Context) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() != nil {
		return
	}
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
	g.mu.Lock()
	g.cancel()
	g.mu.Unlock()
	g.wg.Wait()
}
