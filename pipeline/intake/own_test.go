package intake_test

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// TestLargeEventsOfOurOwnHarmNobody: an import of many baselines is large events of
// g0's own; in one group with them nobody else's may be lost.
func TestLargeEventsOfOurOwnHarmNobody(t *testing.T) { synctest.Test(t, largeOwnEvents) }

func largeOwnEvents(t *testing.T) {
	in, heal := hung(t)
	const imports, large = 20, 4 << 20 // more than one write takes
	body := bytes.Join([][]byte{[]byte(`"`), bytes.Repeat([]byte("a"), large), []byte(`"`)}, nil)
	ended := make(chan error, imports+1)
	for range imports {
		go func() {
			_, err := in.Own(t.Context(), &event.Event{
				Schema: event.SchemaVersion, Source: event.SourceG0, Type: event.TypeBaselineImportAsk, Format: event.FormatG0, Data: body,
			})
			ended <- err
		}()
	}
	go func() {
		_, err := in.Accept(t.Context(), []*event.Event{posted("x", "a")})
		ended <- err
	}()
	synctest.Wait() // all of them wait for the journal
	heal()
	for range imports + 1 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
