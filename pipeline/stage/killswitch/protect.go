package killswitch

import (
	"strings"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// minContainerID is the shortest container id that sources give (Falco).
const minContainerID = 12

// protects gives the entry of Protected that names this actor, or "".
func (c Config) protects(key string, container event.Container) string {
	for _, p := range c.Protected {
		if p == key || p == container.Name || sameContainer(p, container.ID) {
			return p
		}
	}
	return ""
}

// sameContainer compares ids of which either may be cut.
func sameContainer(a, b string) bool {
	return len(a) >= minContainerID && len(b) >= minContainerID &&
		(strings.HasPrefix(a, b) || strings.HasPrefix(b, a))
}

// ward is a gateway that was last seen to run something protected.
type ward struct {
	Protected string `json:"protected"` // entry of Config.Protected
	Gateway   string `json:"gateway"`
}

// watch notes the gateway of ev if it runs something protected: stopping it as a
// whole would stop that too. There is at most one note an entry.
func (s *Switch) watch(ev *event.Event) {
	if len(s.cfg.Protected) == 0 || ev.Agent.Gateway == "" || !ev.Agent.By.Proven() {
		return
	}
	p := s.cfg.protects(ev.Agent.Key(), ev.Container)
	if p == "" {
		return
	}
	for i := range s.wards {
		if s.wards[i].Protected == p {
			s.wards[i].Gateway = strings.Clone(ev.Agent.Gateway)
			return
		}
	}
	s.wards = append(s.wards, ward{p, strings.Clone(ev.Agent.Gateway)})
}

// guarded gives what of the protected stopping to would stop, or "".
func (s *Switch) guarded(ev *event.Event, to target) string {
	if p := s.cfg.protects(to.key, ev.Container); p != "" {
		return p
	}
	if to.scope == "" {
		return ""
	}
	if p := s.cfg.protects(ev.Agent.Key(), ev.Container); p != "" {
		return p
	}
	for _, w := range s.wards {
		if to.key == gatewayKey(w.Gateway) {
			return w.Protected
		}
	}
	return ""
}
