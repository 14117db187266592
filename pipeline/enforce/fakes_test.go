package enforce

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func intent(seq uint64, verb Verb, agent string) Intent {
	cause := "e" + string(rune('a'+seq%26)) + agent
	return Intent{
		ID: cause + "-ks-ct-001", Seq: seq, Verb: verb, Agent: event.Agent{ID: agent, Gateway: "main", By: event.ByKernel},
		Container: event.Container{ID: "0123456789ab"}, Rule: "CT-001", Reason: "because", At: at.Add(time.Duration(seq) * time.Second), Cause: cause,
	}
}

// act is an action with faults: what its functions return, nil ones nothing.
type act struct {
	name             string
	do, verify, undo func(context.Context, Intent) error

	mu    sync.Mutex
	calls []string
}

var _ Action = (*act)(nil)

func (a *act) Name() string { return a.name }
func (a *act) Do(ctx context.Context, in Intent) (string, error) {
	return "", a.call(ctx, "do", a.do, in)
}
func (a *act) Verify(ctx context.Context, in Intent) error {
	return a.call(ctx, "verify", a.verify, in)
}
func (a *act) Undo(ctx context.Context, in Intent) (string, error) {
	return "", a.call(ctx, "undo", a.undo, in)
}

func (a *act) call(ctx context.Context, what string, f func(context.Context, Intent) error, in Intent) error {
	a.mu.Lock()
	a.calls = append(a.calls, what+" "+in.Agent.ID)
	a.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(ctx, in)
}

func (a *act) called() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.calls...)
}

func hang(ctx context.Context, _ Intent) error {
	<-ctx.Done()
	return ctx.Err()
}

// failing gives an error n times.
func failing(n int) func(context.Context, Intent) error {
	return func(context.Context, Intent) error {
		if n--; n >= 0 {
			return errors.New("broken")
		}
		return nil
	}
}

// book keeps what is reported.
type book struct {
	mu     sync.Mutex
	events []*event.Event
	faults int // reports to refuse
}

func (b *book) report(_ context.Context, ev *event.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.faults > 0 {
		b.faults--
		return errors.New("journal away")
	}
	b.events = append(b.events, ev)
	return nil
}

// lines gives each report as "ID severity state verified|error".
func (b *book) lines() (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ev := range b.events {
		k := ev.KillSwitch
		what := "verified"
		if !k.Verified && k.Error != "" {
			what = k.Error
		}
		out = append(out, strings.Join([]string{ev.ID, ev.Severity.String(), k.State, what}, " "))
	}
	return out
}

func quiet(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// do and undo pass over what an action says.
func do(a Action, ctx context.Context, in Intent) error {
	_, err := a.Do(ctx, in)
	return err
}

func undo(a Action, ctx context.Context, in Intent) error {
	_, err := a.Undo(ctx, in)
	return err
}
