package killswitch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

// crossing is a reason to stop an agent: a threshold that was reached or, as the
// zero value, a threat. The event at hand is the same for all its methods.
type crossing struct {
	threshold *rule
	window    *window
}

func (c crossing) name(ev *event.Event) string {
	if c.threshold == nil {
		return ev.Threat.Rule
	}
	return c.threshold.EventType
}

// id tells crossings of one agent apart.
func (c crossing) id(ev *event.Event) string {
	if c.threshold == nil {
		return "threat " + ev.Threat.Rule
	}
	return c.threshold.id
}

func (c crossing) mute() time.Duration {
	if c.threshold == nil {
		return threatMute
	}
	return c.threshold.Window
}

func (c crossing) reason(ev *event.Event) string {
	if c.threshold == nil {
		return fmt.Sprintf("%s %s, confidence %.2f", ev.Threat.Rule, ev.Threat.Title, ev.Threat.Confidence)
	}
	return fmt.Sprintf("%d × %s within %s", c.threshold.Threshold, c.threshold.EventType, correlation.Short(c.threshold.Window))
}

func (c crossing) evidence(ev *event.Event) []string {
	if c.threshold != nil {
		return slices.Clone(c.window.IDs)
	}
	proofs := ev.Threat.Evidence[max(0, len(ev.Threat.Evidence)-maxEvidence):]
	ids := make([]string, len(proofs))
	for i, p := range proofs {
		ids[i] = p.ID
	}
	return ids
}

// maxSlug bounds what a rule's name adds to an ID.
const maxSlug = 64

// slug makes a rule's name fit for an ID.
func slug(rule string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		default:
			return '-'
		}
	}, rule[:min(len(rule), maxSlug)])
}
