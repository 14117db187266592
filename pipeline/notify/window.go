package notify

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// maxWindows bounds the kinds that are limited apart; what is beyond is gathered.
const maxWindows = 4096

// maxKey bounds the names in a kind, in bytes; longer ones are cut.
const maxKey = 128

// subject is what the rate limit tells apart: one kind of alerts.
type subject struct {
	Category string `json:"category"`
	// Agent of an alert of its own.
	Agent string `json:"agent,omitzero"`
	// Detail is Falco's rule, or what is lost.
	Detail string `json:"detail,omitzero"`
}

// window is the time after an alert in which others of its kind are held back.
type window struct {
	subject `json:",inline"`
	Opened  time.Time `json:"opened"`
	// Told is the severity of the alert that opened it.
	Told event.Severity `json:"told,omitzero"`
	// Suppressed since Opened, and the highest severity among them.
	Suppressed uint64         `json:"suppressed,omitzero"`
	Worst      event.Severity `json:"worst,omitzero"`
	// First is the summary of the first of them.
	First string `json:"first,omitzero"`
	// Seen says that a sensor stands behind one of them.
	Seen bool `json:"seen,omitzero"`
}

// subjectOf gives the kind that an event is limited by. One plugin event of a type
// is told at a time, whoever the agent is, as the specification has it; of other
// alerts one agent's must not hide another's.
func subjectOf(ev *event.Event, c class) subject {
	k := subject{Category: ev.Type}
	switch c {
	case classPlugin:
		return k
	case classLoss:
		k.Category = event.TypeCoverageLost // the restoration closes its window
		if ev.Coverage != nil {
			k.Detail = cut(lossName(ev.Coverage))
		}
		return k
	}
	k.Agent = agentOf(ev)
	if ev.Type == event.TypeFalcoAlert {
		k.Detail = cut(ev.Rule)
	}
	return k
}

// agentOf names the actor as [event.Agent.Key] does, cut to maxKey bytes.
func agentOf(ev *event.Event) string { return cut(ev.Agent.Key()) }

func lossName(c *event.Coverage) string { return c.What + "/" + c.Reason }

func cut(s string) string { return s[:min(len(s), maxKey)] }

func compareSubjects(a, b subject) int {
	return cmp.Or(strings.Compare(a.Category, b.Category), strings.Compare(a.Agent, b.Agent), strings.Compare(a.Detail, b.Detail))
}

// holds says whether the window, while it lasts, keeps an alert of its kind back.
// The first critical one after lesser ones is news; the same loss again is not.
func (w window) holds(typ string, urgent bool, sev event.Severity) bool {
	if urgent {
		return typ == event.TypeCoverageLost
	}
	return sev < event.SeverityCritical || w.Told >= event.SeverityCritical
}

// over says whether the window has ended at now. A clock that was set back ends
// it: the alternative is silence for as long as the clock was wrong.
func (s *Stage) over(w window, now time.Time) bool { return passed(w.Opened, s.cfg.RateLimit, now) }

// passed says whether a time of length d that began then is over, or the clock
// was set back.
func passed(begun time.Time, d time.Duration, now time.Time) bool {
	age := now.Sub(begun)
	return age < 0 || age >= d
}

// suppress counts an event that the window holds back.
func (w *window) suppress(ev *event.Event, sev event.Severity) {
	if w.Suppressed == 0 {
		w.First = ev.Summary()
	}
	w.Suppressed++
	w.Seen = w.Seen || seen(ev)
	w.Worst = max(w.Worst, sev)
}

// windowFor says whether a window of the kind may be opened.
func (s *Stage) windowFor(k subject, now time.Time) bool {
	if _, there := s.windows[k]; there || len(s.windows) < maxWindows {
		return true
	}
	maps.DeleteFunc(s.windows, func(_ subject, w window) bool { return w.Suppressed == 0 && s.over(w, now) })
	return len(s.windows) < maxWindows
}

// sorted lists the windows.
func (s *Stage) sorted() []window {
	return slices.SortedFunc(maps.Values(s.windows), func(a, b window) int { return compareSubjects(a.subject, b.subject) })
}

// summaries tells what windows that are over have suppressed, one alert a
// category, and forgets the others that are over.
func (s *Stage) summaries(timer *event.Event) []Alert {
	now := timer.Received
	var due []window
	for _, w := range s.sorted() {
		switch {
		case !s.over(w, now):
		case w.Suppressed == 0:
			delete(s.windows, w.subject)
		default:
			due = append(due, w)
		}
	}
	var out []Alert
	for len(due) > 0 {
		n := slices.IndexFunc(due, func(w window) bool { return w.Category != due[0].Category })
		if n < 0 {
			n = len(due)
		}
		if a, ok := s.summary(timer, due[:n]); ok {
			out = append(out, a)
		}
		due = due[n:]
	}
	return out
}

// summary tells what windows of one category have suppressed, unless too much is
// told already: then it is gathered.
func (s *Stage) summary(timer *event.Event, of []window) (Alert, bool) {
	now := timer.Received
	room := s.ordinary.room(now, slices.ContainsFunc(of, func(w window) bool { return w.Seen }))
	var count uint64
	var worst event.Severity
	var agents []string
	for _, w := range of {
		count += w.Suppressed
		worst = max(worst, w.Worst)
		if w.Agent != "" && !slices.Contains(agents, w.Agent) {
			agents = append(agents, w.Agent)
		}
		if !room {
			s.overflow.add(tally{w.Category, w.Agent, w.Worst, w.Suppressed}, now, nil)
			delete(s.windows, w.subject)
			continue
		}
		s.windows[w.subject] = window{subject: w.subject, Opened: now.UTC(), Told: w.Worst}
	}
	if !room {
		return Alert{}, false
	}
	s.ordinary.take(now)
	a := newSummary(timer, of[0].Category, worst, count, agents...)
	if first := of[0].First; first != "" {
		a.Summary += "; the first: " + first
		a.Text = textOf(a)
	}
	if len(agents) == 1 {
		a.Incident = s.incidents.of(agents[0], now)
	}
	return a, true
}
