package component

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/killswitch"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

// knownRules is what the g0_correlate before a stage can tell it. The zero value
// knows nothing.
type knownRules struct {
	mu    sync.Mutex
	ids   map[string]bool
	types map[string]bool // that rules name or give
}

// note adds the rules of a g0_correlate.
func (k *knownRules) note(rules []correlation.Rule) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ids == nil {
		k.ids, k.types = map[string]bool{}, map[string]bool{}
	}
	for _, r := range rules {
		k.ids[r.ID] = true
		k.types[event.TypeThreat+"."+r.Type] = true
		for _, s := range r.Steps() {
			for _, m := range s.Any {
				for _, typ := range m.Types {
					k.types[strings.TrimPrefix(typ, "!")] = true
				}
			}
		}
	}
}

// check says what a kill switch waits for in vain: a rule that there is not is an
// error, a slip of the pen for sure. A type may be that of a sender of the
// user's, so warn is told of one that nobody knows.
func (k *knownRules) check(cfg killswitch.Config, warn func(field, why string)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for _, id := range cfg.Threats.Rules {
		switch {
		case k.ids == nil:
			warn("threats.rules", "there is no g0_correlate before g0_killswitch: threats of "+id+" must come from elsewhere")
		case !k.ids[id]:
			errs = append(errs, fmt.Errorf("threats.rules: there is no rule %q; g0 rules list shows which there are", id))
		}
	}
	for _, r := range cfg.Rules {
		threat := strings.HasPrefix(r.EventType, event.TypeThreat+".")
		if !k.types[r.EventType] && (threat || !event.Known(r.EventType)) {
			warn("rules", fmt.Sprintf("event_type %q is a type that neither g0 nor a rule knows: nothing is counted unless a sender of yours uses it", r.EventType))
		}
	}
	return errors.Join(errs...)
}

// checkRules holds a kill switch against the rules that there are.
func (rt *Runtime) checkRules(cfg killswitch.Config) error {
	return rt.rules.check(cfg, func(field, why string) {
		rt.Log.Warn("kill switch waits in vain", "field", field, "why", why)
	})
}
