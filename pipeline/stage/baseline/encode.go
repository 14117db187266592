package baseline

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// appendDocument appends the document with these agents. It is written by hand,
// since the stream is held while a snapshot is taken (BenchmarkShard).
func appendDocument(dst []byte, agents ...*agent) []byte {
	dst = append(dst, `{"schema":"`+Schema+`","agents":[`...)
	for i, a := range agents {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = a.append(dst)
	}
	return append(dst, "]}"...)
}

func (a *agent) append(dst []byte) []byte {
	dst = append(dst, `{"agent":`...)
	dst = quote(dst, a.key())
	if a.of != "" {
		dst = append(dst, `,"gateway":`...)
		dst = quote(dst, a.of)
	}
	dst = append(dst, `,"state":"`...)
	dst = append(append(dst, a.state()...), '"')
	dst = appendTrue(dst, "frozen", a.frozen)
	dst = appendCount(dst, "events", a.events)
	dst = appendCount(dst, "taught", a.taught)
	dst = appendCount(dst, "quiet", a.quiet)
	dst = appendTime(dst, "since", a.since)
	dst = appendTime(dst, "held", a.held)
	dst = appendTime(dst, "last", a.last)
	dst = appendTime(dst, "active_since", a.activeSince)
	dst = append(dst, `,"features":{`...)
	first := true
	for f := range features {
		if len(a.tables[f].items) == 0 {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(append(dst, '"'), f.String()...), `":[`...)
		for i := range a.tables[f].items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = a.tables[f].items[i].append(dst)
		}
		dst = append(dst, ']')
	}
	dst = append(dst, `},"run":`...)
	return append(a.appendRun(dst), '}')
}

func (it *item) append(dst []byte) []byte {
	dst = append(dst, `{"item":`...)
	dst = quote(dst, it.text)
	dst = appendTime(dst, "first", it.first)
	dst = appendTime(dst, "last", it.last)
	dst = appendCount(dst, "count", it.count)
	if it.sightings > 0 {
		dst = appendCount(dst, "sightings", uint64(it.sightings))
	}
	dst = appendTime(dst, "counted", it.counted)
	dst = appendTrue(dst, "learned", it.learned)
	dst = appendTime(dst, "told", it.told)
	if it.rate != nil {
		dst = it.rate.append(append(dst, `,"rate":`...))
	}
	return append(dst, '}')
}

func (r *rate) append(dst []byte) []byte {
	dst = append(dst, '{')
	dst = r.known.append(dst)
	dst = append(dst, `,"older":[`...)
	for i, p := range r.older {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		dst = p.stat.append(dst)
		dst = append(appendCount(dst, "minute", uint64(p.minute)), '}')
	}
	dst = append(dst, ']')
	dst = appendTime(dst, "minute", r.minute)
	if r.count > 0 {
		dst = appendCount(dst, "count", uint64(r.count))
	}
	dst = appendTrue(dst, "tainted", r.tainted)
	return append(appendTime(dst, "told", r.told), '}')
}

// append begins an object.
func (s *stat) append(dst []byte) []byte {
	dst = append(dst, `"minutes":`...)
	dst = strconv.AppendUint(dst, uint64(s.minutes), 10)
	dst = append(dst, `,"mean":`...)
	dst = appendFloat(dst, s.mean)
	dst = append(dst, `,"variance":`...)
	return appendFloat(dst, s.variance)
}

func (a *agent) appendRun(dst []byte) []byte {
	dst = strconv.AppendUint(append(dst, `{"used":`...), a.used, 10)
	dst = appendCount(dst, "changed", a.changed)
	dst = appendTime(dst, "counted", a.counted)
	if a.alert.typ != "" {
		dst = quote(append(dst, `,"alert_of":`...), a.alert.typ)
	}
	dst = appendTime(dst, "alert_at", a.alert.at)
	dst = appendTime(dst, "until", a.alert.until)
	dst = appendTime(dst, "own_alert", a.ownAlert)
	if len(a.causes) > 0 {
		dst = appendAny(dst, "causes", a.causes)
	}
	if a.told != ([features]budget{}) {
		dst = appendAny(dst, "told", a.told[:])
	}
	if a.claimed != ([features]int64{}) {
		dst = appendAny(dst, "claimed", a.claimed[:])
	}
	if a.lost != ([features]loss{}) {
		dst = appendAny(dst, "lost", a.lost[:])
	}
	return append(dst, '}')
}

// appendAny appends a member that few agents have.
func appendAny(dst []byte, name string, v any) []byte {
	b, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true))
	if err != nil { // numbers and strings can be written
		panic(err)
	}
	return append(append(append(append(dst, `,"`...), name...), `":`...), b...)
}

// appendTime appends a member, appendCount one that stands there as 0 too.
func appendTime(dst []byte, name string, t int64) []byte {
	if t == 0 {
		return dst
	}
	return appendCount(dst, name, uint64(t))
}

func appendCount(dst []byte, name string, n uint64) []byte {
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return strconv.AppendUint(dst, n, 10)
}

func appendTrue(dst []byte, name string, is bool) []byte {
	if !is {
		return dst
	}
	return append(append(append(dst, `,"`...), name...), `":true`...)
}

// fill gives a, which is new, what in holds.
func (s *Stage) fill(a *agent, in *Agent) {
	a.frozen, a.events, a.taught, a.quiet = in.Frozen, in.Events, in.Taught, in.Quiet
	a.since, a.held, a.last, a.activeSince = in.Since, in.Held, in.Last, in.ActiveSince
	for f := range features {
		t := &a.tables[f]
		for i := range in.Features[f.String()] {
			src := &in.Features[f.String()][i]
			it, _ := t.add(src.Item, s.l.MaxItems)
			src.fill(it, &s.l)
			if it.learned {
				t.learned++
			}
		}
	}
	s.items += a.items()
	if run := in.Run; run != nil {
		a.used, a.changed, a.counted, a.ownAlert = run.Used, run.Changed, run.Counted, run.OwnAlert
		a.alert = alert{run.AlertOf, run.AlertAt, run.Until}
		a.causes = slices.Clone(run.Causes)
		copy(a.told[:], run.Told)
		copy(a.claimed[:], run.Claimed)
		copy(a.lost[:], run.Lost)
	}
}

func (src *Item) fill(it *item, l *limits) {
	it.first, it.last, it.count = src.First, src.Last, src.Count
	it.sightings, it.counted, it.learned, it.told = src.Sightings, src.Counted, src.Learned, src.Told
	r := src.Rate
	if r == nil {
		return
	}
	it.rate = &rate{
		known:  stat{r.Minutes, r.Mean, r.Variance},
		minute: r.Minute, count: r.Count, tainted: r.Tainted, told: r.Told,
	}
	for i, p := range r.Older {
		it.rate.older[i] = point{p.Minute, stat{p.Minutes, p.Mean, p.Variance}}
	}
	it.rate.limit = it.rate.known.limit(l.Deviations)
}

// forgetRun leaves of an imported agent what was learned, without what was told of
// its items and the minute that went on. Counts keep room to grow: what is saved of
// the agent later must be within what a document may say.
func (a *agent) forgetRun() {
	const most = maxCount / 2
	a.events, a.taught, a.quiet = min(a.events, most), min(a.taught, most), min(a.quiet, most)
	a.held = min(a.held, maxTime/2)
	for f := range a.tables {
		for i := range a.tables[f].items {
			it := &a.tables[f].items[i]
			it.told, it.count = 0, min(it.count, most)
			if r := it.rate; r != nil {
				r.minute, r.count, r.tainted, r.told = 0, 0, false, 0
				r.older = [2]point{{0, r.known}, {0, r.known}}
			}
		}
	}
}
