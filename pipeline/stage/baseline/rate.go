package baseline

import "math"

// How often an item comes is known by the minutes in which it comes at all: an
// agent that sleeps at night would else be unusual each morning. The count c of
// such a minute is taken as z = 2·√(c+3/8), whose variance is 1 whatever the mean
// if the events come independently (Anscombe, Biometrika 35, 1948), and larger if
// they come in bursts. Mean and variance of z are exponentially weighted (Finch,
// "Incremental calculation of weighted mean and variance", 2009); what is further
// than clip deviations from the mean counts as if it were not, so that a burst
// cannot make itself usual (Gelper, Fried and Croux, Journal of Forecasting 29,
// 2010).
//
// √ is exact to the last bit on every machine, and the conversions below keep the
// compiler from fusing operations: the same journal gives the same figures.
const (
	weight = 0.02 // of the newest minute; so some 50 of them matter
	clip   = 3
	// minMinutes must be known before a rate is judged.
	minMinutes = 30
	minute     = 60 // seconds
)

// rate is how often an item comes. Minutes are Unix seconds divided by 60.
type rate struct {
	known stat
	// older are what was known at the beginning of a minute, newest first, for
	// takeBack; at least as far apart as an alert looks back.
	older [2]point

	minute  int64
	count   uint32 // within the minute
	limit   uint32 // count beyond which that is too much; 0: not known
	tainted bool   // the minute is not to be learned
	told    int64  // not to be told again before; Unix seconds
}

type stat struct {
	minutes        uint32 // learned
	mean, variance float64
}

type point struct {
	minute int64
	stat   stat
}

// add counts an event at now, Unix seconds, and says whether it is one too many.
// teach is false where nothing may be learned.
func (r *rate) add(now int64, teach bool, l *limits) bool {
	if m := now / minute; m != r.minute {
		r.close(m, l)
	}
	if !teach {
		r.tainted = true
	}
	if r.count < math.MaxUint32 {
		r.count++
	}
	return r.limit > 0 && r.count > r.limit
}

// close learns the minute that is over and begins the one at now.
func (r *rate) close(now int64, l *limits) {
	if r.count > 0 && !r.tainted {
		if apart := r.minute - r.older[0].minute; apart < 0 || apart*minute >= l.lookBack {
			r.older[1], r.older[0] = r.older[0], point{r.minute, r.known}
		}
		r.known.learn(r.count)
		r.limit = r.known.limit(l.Deviations)
	}
	r.minute, r.count, r.tainted = now, 0, false
}

// takeBack forgets the minutes after from. The present one is not learned.
func (r *rate) takeBack(from, now int64, l *limits) {
	if r.minute*minute+minute <= from {
		return
	}
	r.tainted = true
	back := r.older[0]
	if back.minute*minute > from {
		back = r.older[1]
	}
	if r.known == back.stat {
		return
	}
	r.known, r.limit = back.stat, back.stat.limit(l.Deviations)
	back.minute = now / minute
	r.older = [2]point{back, back}
}

func (s *stat) learn(count uint32) {
	z := score(count)
	if s.minutes == 0 {
		*s = stat{minutes: 1, mean: z}
		return
	}
	w := max(weight, 1/float64(s.minutes+1)) // a plain average, at first
	far := float64(clip * s.deviation())
	d := min(max(z-s.mean, -far), far)
	step := float64(w * d)
	s.mean += step
	s.variance = float64((1 - w) * float64(s.variance+float64(d*step)))
	if s.minutes < math.MaxUint32 {
		s.minutes++
	}
}

func score(count uint32) float64 { return float64(2 * math.Sqrt(float64(count)+0.375)) }

// deviation is the standard deviation of the scores, and not less than that of
// events that come independently.
func (s *stat) deviation() float64 { return max(1, math.Sqrt(s.variance)) }

// limit is the largest count within so many deviations of the usual; 0: not known.
func (s *stat) limit(deviations float64) uint32 {
	if deviations == 0 || s.minutes < minMinutes {
		return 0
	}
	return uint32(min(unscore(s.mean+float64(deviations*s.deviation())), math.MaxUint32))
}

// usual is the usual rate in events a minute.
func (s *stat) usual() float64 { return unscore(s.mean) }

func unscore(z float64) float64 { return max(0, float64(float64(z*z)/4)-0.375) }
