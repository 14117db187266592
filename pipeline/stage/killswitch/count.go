package killswitch

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxEvidence is how many event ids a decision names.
const maxEvidence = 16

// window holds the newest events of one rule and actor, oldest first: never
// more than the rule's threshold.
type window struct {
	At  []int64  // Received, in Unix nanoseconds
	IDs []string // of the newest maxEvidence
}

func (w *window) add(now int64, id string, r *rule) {
	w.At = push(w.At, now, r.Threshold)
	w.IDs = push(w.IDs, strings.Clone(id), min(r.Threshold, maxEvidence))
}

// reached says whether the newest threshold events lie within the window.
func (w *window) reached(now int64, r *rule) bool {
	n := len(w.At) - r.Threshold
	return n >= 0 && within(now, w.At[n], r.Window)
}

// live counts the events that still matter at now.
func (w *window) live(now int64, r *rule) (n uint64) {
	for _, at := range w.At {
		if within(now, at, r.Window) {
			n++
		}
	}
	return n
}

// within looks both ways: after the clock was set back a little, events still
// count; after it was set back a lot, those of the wrong future do not.
func within(now, at int64, d time.Duration) bool {
	return now-at < int64(d) && at-now < int64(d)
}

// push appends v, dropping from the front so that at most n remain. Shifting a
// few kilobytes costs less than what a ring would add to reading, storing and
// restoring.
func push[T any](s []T, v T, n int) []T {
	if len(s) < n {
		return append(s, v)
	}
	drop := len(s) - n + 1
	copy(s, s[drop:])
	s = s[:n]
	s[n-1] = v
	return s
}

// actor is what was counted of one agent, and what was told of it lately.
type actor struct {
	windows []window // by rule
	told    []telling
}

// telling mutes repeats of what was told under a name until then.
type telling struct {
	Name  string `json:"name"`
	Until int64  `json:"until"`
}

// tell says whether something may be told under name now, and mutes it for d.
func (a *actor) tell(name string, now int64, d time.Duration) bool {
	a.told = slices.DeleteFunc(a.told, func(t telling) bool {
		return now >= t.Until || t.Until-now > int64(MaxWindow) // the clock was set back
	})
	if slices.ContainsFunc(a.told, func(t telling) bool { return t.Name == name }) {
		return false
	}
	a.told = append(a.told, telling{name, now + int64(d)})
	return true
}

// maxActors bounds each book; with the default rules a full one takes about
// 20 MB.
const maxActors = 10_000

// book holds the actors of one class of evidence, so that mere claims, which
// cost nothing, cannot push out what is proven.
type book struct {
	actors *simplelru.LRU[string, *actor]
	rules  []rule
}

func newBook(rules []rule) *book {
	l, err := simplelru.NewLRU[string, *actor](maxActors, nil)
	if err != nil { // only for a size below 1
		panic(err)
	}
	return &book{actors: l, rules: rules}
}

// actor gives the actor of key. lost counts the live events of another that had
// to be forgotten for it.
func (b *book) actor(key string, now int64) (a *actor, lost uint64) {
	if a, ok := b.actors.Get(key); ok {
		return a, 0
	}
	if b.actors.Len() >= maxActors {
		_, old, _ := b.actors.RemoveOldest()
		for i := range old.windows {
			lost += old.windows[i].live(now, &b.rules[i])
		}
	}
	a = &actor{windows: make([]window, len(b.rules))}
	b.actors.Add(strings.Clone(key), a)
	return a, lost
}
