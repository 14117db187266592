package correlate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/s2"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// snapshotVersion grows when the form changes; another version is refused.
const snapshotVersion = 1

// snapshot is the state of an engine. Hits stand once and are named by their
// place; windows stand in the order of their use.
type snapshot struct {
	Version int            `json:"version"`
	Hits    []*hit         `json:"hits"`
	Rules   []ruleSnapshot `json:"rules"`
	Sweep   int            `json:"sweep"`
	Own     []string       `json:"own,omitempty"`
}

type ruleSnapshot struct {
	ID          string           `json:"id"`
	Fingerprint string           `json:"fingerprint"`
	Full        loss             `json:"full"`
	Broken      loss             `json:"broken"`
	Windows     []windowSnapshot `json:"windows"`
}

type windowSnapshot struct {
	Key     string            `json:"key"`
	Gateway bool              `json:"gateway,omitzero"`
	Steps   [][]int           `json:"steps"`
	Unless  []int             `json:"unless,omitempty"`
	Muted   []mute            `json:"muted,omitempty"`
	Pending []pendingSnapshot `json:"pending,omitempty"`
	Touched time.Time         `json:"touched"`
}

type pendingSnapshot struct {
	Due      time.Time      `json:"due"`
	Agents   []string       `json:"agents"`
	Strength int            `json:"strength"`
	Subject  []int          `json:"subject,omitempty"` // one hit or none
	Draft    jsontext.Value `json:"draft"`
}

// Snapshot gives the state, the same bytes for the same state: JSON, packed with
// S2, since under an attack there are tens of megabytes of it.
func (e *Engine) Snapshot() ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := snapshot{Version: snapshotVersion, Sweep: e.sweep, Own: e.own}
	places := map[*hit]int{}
	number := func(hits []*hit) []int {
		out := make([]int, 0, len(hits))
		for _, h := range hits {
			n, ok := places[h]
			if !ok {
				n = len(s.Hits)
				places[h], s.Hits = n, append(s.Hits, h)
			}
			out = append(out, n)
		}
		return out
	}
	for _, r := range e.rules {
		rs := ruleSnapshot{ID: r.ID, Fingerprint: r.fingerprint, Full: r.full, Broken: r.broken}
		for _, w := range r.windows.Values() {
			rs.Windows = append(rs.Windows, w.snapshot(number))
		}
		s.Rules = append(s.Rules, rs)
	}
	var b bytes.Buffer
	packed := s2.NewWriter(&b, s2.WriterConcurrency(1))
	if err := errors.Join(json.MarshalWrite(packed, &s), packed.Close()); err != nil {
		return nil, fmt.Errorf("snapshot correlate: %w", err)
	}
	return b.Bytes(), nil
}

// maxUnpacked bounds a snapshot in bytes: 65,536 hits of some 2 kB for each rule
// are out of reach.
const maxUnpacked = 1 << 30

// unpacked reads a snapshot: packed, or as earlier versions wrote it.
func unpacked(b []byte) io.Reader {
	if len(b) > 0 && b[0] == '{' {
		return bytes.NewReader(b)
	}
	return io.LimitReader(s2.NewReader(bytes.NewReader(b)), maxUnpacked)
}

func (w *window) snapshot(number func([]*hit) []int) windowSnapshot {
	ws := windowSnapshot{Key: w.key, Gateway: w.gateway, Muted: w.muted, Touched: w.touched}
	for _, hits := range w.steps {
		ws.Steps = append(ws.Steps, number(hits))
	}
	if len(w.unless) > 0 {
		ws.Unless = number(w.unless)
	}
	for _, p := range w.pending {
		ps := pendingSnapshot{Due: p.Due, Agents: p.Agents, Strength: p.Strength, Draft: p.Draft.AppendJSON(nil)}
		if p.Subject != nil {
			ps.Subject = number([]*hit{p.Subject})
		}
		ws.Pending = append(ws.Pending, ps)
	}
	return ws
}

// Restore puts the state of a snapshot in place of the present one. The windows
// of a rule that says something else now or is gone are dropped, with what waits
// in them; so are those used longest ago where MaxKeys has become smaller. With an
// error the engine is as before.
func (e *Engine) Restore(b []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var s snapshot
	if err := json.UnmarshalRead(unpacked(b), &s, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("restore correlate: %w", err)
	}
	if s.Version != snapshotVersion {
		return fmt.Errorf("restore correlate: version %d, this g0 reads %d", s.Version, snapshotVersion)
	}
	if slices.Contains(s.Hits, nil) {
		return fmt.Errorf("restore correlate: %w", errSnapshot)
	}
	for _, h := range s.Hits {
		h.settle()
	}
	restored := map[*rule]ruleState{}
	for _, r := range e.rules {
		for i := range s.Rules {
			rs := &s.Rules[i]
			if rs.ID != r.ID || rs.Fingerprint != r.fingerprint {
				continue
			}
			windows, err := r.rebuild(rs, s.Hits)
			if err != nil {
				return fmt.Errorf("restore correlate: rule %s: %w", r.ID, err)
			}
			restored[r] = ruleState{windows, rs.Full, rs.Broken}
		}
	}
	e.adopt(restored)
	e.own = s.Own[:min(len(s.Own), maxOwn)]
	if e.sweep = 0; s.Sweep > 0 && s.Sweep < len(e.rules) {
		e.sweep = s.Sweep
	}
	return nil
}

// ruleState is what a snapshot holds of a rule.
type ruleState struct {
	windows      []*window // oldest first
	full, broken loss
}

var errSnapshot = errors.New("snapshot does not fit together")

// rebuild makes the windows of a rule, oldest first; the rule is not changed.
func (r *rule) rebuild(rs *ruleSnapshot, all []*hit) ([]*window, error) {
	var out []*window
	seen := map[string]bool{}
	for i := range rs.Windows {
		w, err := r.rebuildWindow(&rs.Windows[i], all)
		if err != nil {
			return nil, err
		}
		if seen[w.key] {
			return nil, errSnapshot
		}
		seen[w.key] = true
		out = append(out, w)
	}
	return out, nil
}

func (r *rule) rebuildWindow(ws *windowSnapshot, all []*hit) (*window, error) {
	if len(ws.Steps) != len(r.Steps()) {
		return nil, errSnapshot
	}
	w := &window{key: ws.Key, gateway: ws.Gateway, muted: ws.Muted, touched: ws.Touched}
	var err error
	if w.unless, err = pick(all, ws.Unless); err != nil {
		return nil, err
	}
	for _, places := range ws.Steps {
		hits, err := pick(all, places)
		if err != nil {
			return nil, err
		}
		w.steps = append(w.steps, hits)
	}
	w.bound()
	for _, ps := range ws.Pending {
		draft, err := event.Decode(ps.Draft)
		if err != nil {
			return nil, err
		}
		if draft.Threat == nil {
			return nil, errSnapshot
		}
		p := &pending{Due: ps.Due, Agents: ps.Agents, Strength: ps.Strength, Draft: draft, rule: r, window: w}
		subject, err := pick(all, ps.Subject)
		if err != nil {
			return nil, err
		}
		switch {
		case len(subject) == 1:
			p.Subject = subject[0]
		case len(subject) > 1 || r.Unless.Near():
			return nil, errSnapshot
		}
		w.pending = append(w.pending, p)
	}
	return w, nil
}

func pick(all []*hit, places []int) ([]*hit, error) {
	var out []*hit
	for _, n := range places {
		if n < 0 || n >= len(all) {
			return nil, errSnapshot
		}
		out = append(out, all[n])
	}
	return out, nil
}

// adopt replaces the state of all rules.
func (e *Engine) adopt(states map[*rule]ruleState) {
	e.due = nil
	for _, r := range e.rules {
		state := states[r]
		r.full.adopt(&state.full)
		r.broken.adopt(&state.broken)
		r.windows.Purge()
		r.hits = 0
		for _, w := range state.windows[max(0, len(state.windows)-r.maxKeys):] {
			r.windows.Add(w.key, w)
			r.hits += w.size()
			for _, p := range w.pending {
				e.due.add(p)
			}
		}
	}
	e.findLossDue()
}

func (l *loss) adopt(from *loss) {
	l.Count, l.Since, l.Last, l.ToldAt, l.Detail = from.Count, from.Since, from.Last, from.ToldAt, from.Detail
}
