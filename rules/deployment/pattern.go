package deployment

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Pattern is what every consumer can express: one path, or all paths under a
// folder, with an end, or both. Each is as some process sees it.
type Pattern struct {
	// Path is one whole path, absolute. With it the others are empty.
	Path string
	// Under is an absolute folder with a slash at its end. Empty: anywhere.
	Under string
	// End is the last part of the path: "/.env", ".jsonl". Empty: any.
	End string
}

// ParsePattern reads one of these forms:
//
//	/a/b            this path                  name, d/name   any path ending in /name, /d/name
//	/a/b/           everything under it        *.ext          any path ending in .ext
//	/a/b/**/*.ext   under it, ending in .ext   /a/b/**/name   under it, ending in /name
//
// A path may begin with ./ (in the state folder) or ~/ (in each home), which
// [Deployment.Expand] replaces. No other wildcard is known.
func ParsePattern(text string) (Pattern, error) {
	if text == "" {
		return Pattern{}, errors.New("is empty")
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }); i >= 0 {
		return Pattern{}, fmt.Errorf("%q has a control character or is not UTF-8", text)
	}
	under, end, split := strings.Cut(text, "/**/")
	if split {
		under += "/"
	} else if rooted(text) {
		return wholeOrUnder(text)
	} else {
		under, end = "", text
	}
	odd := dotted(under + end)
	switch {
	case split && !rooted(under):
		return Pattern{}, fmt.Errorf("%q: what stands before ** must begin with /, ./ or ~/", text)
	case end == "" || strings.HasSuffix(end, "/"):
		return Pattern{}, fmt.Errorf("%q names no file", text)
	case strings.HasPrefix(end, "*"):
		end = end[1:]
	default:
		end = "/" + end
	}
	if end == "" || strings.Contains(end, "*") || strings.Contains(under, "*") || odd {
		return Pattern{}, fmt.Errorf("%q has a wildcard in a place where none is known, or a part that is only dots", text)
	}
	return Pattern{Under: under, End: end}, nil
}

func rooted(s string) bool {
	return strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "~/")
}

func wholeOrUnder(text string) (Pattern, error) {
	if strings.Contains(text, "*") || dotted(strings.TrimPrefix(text, "./")) {
		return Pattern{}, fmt.Errorf("%q has a wildcard in a place where none is known, or a part that is only dots", text)
	}
	if strings.HasSuffix(text, "/") {
		return Pattern{Under: text}, nil
	}
	return Pattern{Path: text}, nil
}

// dotted says whether a path has a part that a kernel never shows.
func dotted(p string) bool {
	p = strings.TrimPrefix(strings.TrimPrefix(p, "./"), "~/")
	return slices.ContainsFunc(strings.Split(p, "/"), func(s string) bool { return s == "." || s == ".." }) || strings.Contains(p, "//")
}

// Expand gives the patterns as the agents' processes see them: ./ and ~/
// replaced, and each path of the host also as its mounts show it. Without
// repetition, in the order given. Patterns that [ParsePattern] refuses are left
// out: a validated deployment has none.
func (d *Deployment) Expand(patterns []string) []Pattern {
	return d.expand(patterns, d.Views)
}

// OnHost is Expand with the host's paths only.
func (d *Deployment) OnHost(patterns []string) []Pattern {
	return d.expand(patterns, func(p string) []string { return []string{p} })
}

func (d *Deployment) expand(patterns []string, views func(string) []string) []Pattern {
	var out []Pattern
	for _, text := range patterns {
		p, err := ParsePattern(text)
		if err != nil {
			continue
		}
		for _, at := range d.roots(p.Path+p.Under, views) {
			next := Pattern{Path: at, End: p.End}
			if p.Path == "" {
				next.Path, next.Under = "", at
			}
			if !slices.Contains(out, next) {
				out = append(out, next)
			}
		}
	}
	return out
}

// roots gives the absolute forms of a path; of none, none.
func (d *Deployment) roots(p string, views func(string) []string) []string {
	rest, home := strings.CutPrefix(p, "~/")
	switch {
	case p == "":
		return []string{""}
	case home:
		var out []string
		for _, h := range d.Homes {
			out = append(out, path.Clean(h)+"/"+rest)
		}
		return out
	case strings.HasPrefix(p, "./"):
		return views(path.Clean(d.State()) + p[1:])
	}
	return views(p)
}

// State is the host's path of OpenClaw's state folder.
func (d *Deployment) State() string {
	if d.StatePath != "" {
		return d.StatePath
	}
	return path.Dir(path.Clean(d.AgentDataPath))
}

// Views gives every path under which processes of agents see a path of the host:
// as each mount shows it that holds it, the longest first (which container has
// which is not known), then as it is. A slash at the end stays.
func (d *Deployment) Views(host string) []string {
	var holding []Mount
	for _, m := range d.Mounts {
		rest, ok := strings.CutPrefix(host, strings.TrimSuffix(m.Host, "/"))
		if ok && (rest == "" || rest[0] == '/') {
			holding = append(holding, Mount{Host: rest, Container: strings.TrimSuffix(m.Container, "/") + rest})
		}
	}
	slices.SortStableFunc(holding, func(a, b Mount) int { return len(a.Host) - len(b.Host) })
	var out []string
	for _, m := range append(holding, Mount{Container: host}) {
		if m.Container != "" && !slices.Contains(out, m.Container) {
			out = append(out, m.Container)
		}
	}
	return out
}
