package notify

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// jitter is by how much of itself a wait is longer or shorter, so that many
// sidecars do not come back to a recovered target at once.
const jitter = 0.2

// pace gives the waits of a failing target: doubling from shortest to longest.
type pace struct {
	shortest, longest time.Duration
	growing           backoff.ExponentialBackOff
}

func newPace(shortest, longest time.Duration) *pace {
	p := &pace{shortest: shortest, longest: longest, growing: backoff.ExponentialBackOff{
		InitialInterval:     time.Duration(float64(shortest) / (1 - jitter)),
		RandomizationFactor: jitter,
		Multiplier:          2,
		MaxInterval:         time.Duration(float64(longest) / (1 + jitter)),
	}}
	p.growing.Reset()
	return p
}

// next is how long to wait after one more failure.
func (p *pace) next() time.Duration {
	return min(max(p.growing.NextBackOff(), p.shortest), p.longest)
}

// reset starts over: the target is well.
func (p *pace) reset() { p.growing.Reset() }
