package correlation

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Story is what a narrative can tell of a match.
type Story struct {
	Agent, Session, Container, Host string
	// First and Last are summaries of events. Attacker text may be in them.
	First, Last string
	// Count of events.
	Count int
	// Span from the first to the last.
	Span time.Duration
}

var placeholders = []string{
	"{agent}", "{session}", "{container}", "{host}", "{first}", "{last}", "{count}", "{span}",
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// Narrate fills the placeholders of a narrative in one pass: what a summary
// brings in braces stays as it is. Unknown values read "unknown".
func Narrate(narrative string, s Story) string {
	known := func(v string) string {
		if v == "" {
			return "unknown"
		}
		return v
	}
	span := s.Span.Round(time.Millisecond)
	if span >= 10*time.Second {
		span = span.Round(time.Second)
	}
	return strings.NewReplacer(
		"{agent}", known(s.Agent), "{session}", known(s.Session),
		"{container}", known(s.Container), "{host}", known(s.Host),
		"{first}", known(s.First), "{last}", known(s.Last),
		"{count}", strconv.Itoa(s.Count), "{span}", span.String(),
	).Replace(narrative)
}
