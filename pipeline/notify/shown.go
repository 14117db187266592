package notify

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Bounds in characters of what is shown of a digest's group and of an incident.
const (
	maxGroupName   = 100
	maxExample     = 120
	maxIncidentLen = 80
)

// groupsOf gives a line for each of the first groups of a digest, at most most
// lines; the last says how many groups are left out. Name and Value may hold
// attacker text.
func groupsOf(d *Digest, most int) []fact {
	if d == nil || most < 1 {
		return nil
	}
	shown := d.Groups
	if len(shown) > most {
		shown = shown[:most-1]
	}
	out := make([]fact, 0, len(shown)+1)
	for _, g := range shown {
		name := strings.ToUpper(g.Severity.String()) + " " + g.Category + " × " + strconv.FormatUint(g.Count, 10)
		out = append(out, fact{event.Clean(name, maxGroupName), groupText(g)})
	}
	if rest := d.Groups[len(shown):]; len(rest) > 0 {
		var n uint64
		for _, g := range rest {
			n += g.Count
		}
		out = append(out, fact{fmt.Sprintf("%d more categories", len(rest)), fmt.Sprintf("%d events", n)})
	}
	return out
}

// groupText says when, who and for example what, on one line.
func groupText(g Group) string {
	parts := []string{span(g.First, g.Last), agentsLine(g)}
	for _, e := range g.Examples {
		parts = append(parts, event.Clean(e, maxExample))
	}
	return join(" · ", parts...)
}

// span is the time between two moments, as one moment if they are the same
// second.
func span(first, last time.Time) string {
	from, to := first.UTC().Format(clock), last.UTC().Format(clock)
	if from == to {
		return from
	}
	return from + " to " + to
}

// footerOf says which alert it is and, for those who have to put an attack's
// alerts together by eye, of which incident.
func footerOf(a Alert) string {
	parts := []string{"g0", a.At.UTC().Format("2006-01-02 15:04:05Z"), event.Clean(a.ID, maxIncidentLen)}
	if a.Incident != "" {
		ends := ""
		if a.Ends {
			ends = " is over"
		}
		parts = append(parts, "incident "+event.Clean(a.Incident, maxIncidentLen)+ends)
	}
	return join(" · ", parts...)
}

// link is what clients make links of, whether or not the service itself does.
var link = regexp.MustCompile(`(?i)://|\b(www\.|mailto:|tel:|discord\.gg/|discord(app)?\.com/invite)`)

// defang breaks links, so that no client makes one of attacker text.
func defang(s string) string { return link.ReplaceAllString(s, "[$0]") }

// units counts as the strictest of the services does, in UTF-16.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// escaped writes s with what escape gives for a rune in its place, cut to limit
// units without splitting an escape. Services refuse empty text: that becomes a
// dash.
func escaped(s string, limit int, escape func(rune) string) string {
	if strings.TrimSpace(s) == "" {
		return "–"
	}
	var b strings.Builder
	left := limit - 1 // for the mark of a cut
	for _, r := range s {
		out := escape(r)
		if left -= units(out); left < 0 {
			b.WriteString("…")
			break
		}
		b.WriteString(out)
	}
	return b.String()
}
