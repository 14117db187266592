package baseline

import (
	"fmt"
	"strconv"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// judge looks at what ev holds, counts it, and says whether all of it is learned.
func (s *Stage) judge(ev *event.Event, a *agent, teach bool, now int64) (known bool) {
	known = true
	toldRate := false
	for i, f := range s.finder.find(ev) {
		t := &a.tables[f.feature]
		it := t.get(f.item)
		if it == nil {
			if it = s.newItem(a, f, now); it == nil {
				known = false
				continue
			}
		}
		t.see(it, now, teach, &s.l)
		switch {
		case !it.learned:
			known = false
			s.tellNew(ev, a, it, i, f.feature, now)
		case s.tooOften(a, it, f.feature, teach, now):
			// One burst of tool calls is one of its type of event too.
			if !toldRate {
				s.tellRate(ev, it, i, now)
				toldRate = true
			}
		}
	}
	return known
}

// tellNew tells that an active agent did what it is not known for, unless that
// was told lately.
func (s *Stage) tellNew(ev *event.Event, a *agent, it *item, i int, f feature, now int64) {
	if !a.active() || s.muted(it.told, now) {
		return
	}
	if !a.told[f].take(now) {
		s.note(&a.lost[f], &a.lost[f].Untold, now)
		return
	}
	it.told = now + s.l.mute
	s.firstSeen(ev, a, it.text, i, f, f.severity())
}

// claim judges what is merely claimed of an agent. It teaches nothing, and leaves
// nothing behind that others who claim could fill up.
func (s *Stage) claim(ev *event.Event, who actor, now int64) {
	a := s.agents[who]
	if a == nil || !a.active() {
		return
	}
	for i, f := range s.finder.find(ev) {
		if it := a.tables[f.feature].get(f.item); it != nil && it.learned || s.muted(a.claimed[f.feature], now) {
			continue
		}
		a.claimed[f.feature], a.changed = now+s.l.mute, s.seq
		s.firstSeen(ev, a, string(f.item), i, f.feature, event.SeverityInfo)
	}
}

// muted says whether what is not to be told before until is not to be at now.
// After the clock was set back, nothing is muted for longer than it would be anew.
func (s *Stage) muted(until, now int64) bool { return now < until && until-now <= s.l.mute }

func (s *Stage) firstSeen(ev *event.Event, a *agent, text string, i int, f feature, severity event.Severity) {
	d := ev.Derive(Name, event.TypeBaselineFirstSeen, Name+"-"+strconv.Itoa(i))
	d.Severity = severity
	d.Baseline = &event.Baseline{Feature: f.String(), Item: text, Known: a.tables[f].learned}
	s.out = append(s.out, d)
}

// tooOften counts an event with a learned item, and says whether it comes far more
// often than usual and that was not told lately.
func (s *Stage) tooOften(a *agent, it *item, f feature, teach bool, now int64) bool {
	if !f.rated() || s.l.Deviations == 0 {
		return false
	}
	if it.rate == nil {
		it.rate = &rate{}
	}
	if !it.rate.add(now, teach, &s.l) || !a.active() || s.muted(it.rate.told, now) {
		return false
	}
	it.rate.told = now + s.l.mute
	return true
}

// rateFeature is the feature of a baseline.rate.
const rateFeature = "rate"

func (s *Stage) tellRate(ev *event.Event, it *item, i int, now int64) {
	r := it.rate
	d := ev.Derive(Name, event.TypeBaselineRate, Name+"-"+strconv.Itoa(i))
	d.Baseline = &event.Baseline{
		Feature: rateFeature, Item: it.text, Rate: float64(r.count), Usual: r.known.usual(),
	}
	d.Message = fmt.Sprintf("%s: %d events in this minute so far, where %.0f are usual", it.text, r.count, d.Baseline.Usual)
	s.out = append(s.out, d)
}

// tellActive tells that enough was learned.
func (s *Stage) tellActive(ev *event.Event, a *agent) {
	d := ev.Derive(Name, event.TypeBaselineActive, Name+"-active")
	d.Message = fmt.Sprintf("%d items learned from %d events: what is new is told from now on", a.learned(), a.taught)
	s.out = append(s.out, d)
}
