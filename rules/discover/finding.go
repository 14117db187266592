package discover

import (
	"fmt"
	"strconv"
)

// Kinds of findings.
const (
	// KindName: a folder's or agent's name is none that OpenClaw gives.
	KindName = "name"
	// KindLink: a link stands where a folder or file is expected; it is not followed.
	KindLink = "link"
	// KindUnreadable: a folder is closed to who runs the scan.
	KindUnreadable = "unreadable"
	// KindFile: something that is no folder stands among the agents' folders.
	KindFile = "file"
	// KindConfig: openclaw.json is missing, or says something that is not known.
	KindConfig = "config"
	// KindUnlisted: an agent has a folder, and openclaw.json does not know it.
	KindUnlisted = "unlisted"
	// KindBound: there is more than is looked at.
	KindBound = "bound"
	// KindContainer: something of a container is odd.
	KindContainer = "container"
)

// Finding is what came up on the way and did not end it.
type Finding struct {
	Kind string `json:"kind"`
	// What it is about: a path, an agent's id or a container's name, quoted where a
	// terminal or a reader could take it for something else, and at most 256
	// characters long.
	What string `json:"what"`
	// Text says what is odd, in plain words.
	Text string `json:"text"`
}

// String gives "what: text".
func (f Finding) String() string { return f.What + ": " + f.Text }

// maxFindings bounds the findings of each kind: whoever can make files can make
// many.
const maxFindings = 100

// findings collects those of one discovery.
type findings struct {
	all  []Finding
	more map[string]int // by kind, how many there are
}

func (f *findings) add(kind, what, format string, args ...any) {
	if f.more == nil {
		f.more = map[string]int{}
	}
	if f.more[kind]++; f.more[kind] <= maxFindings {
		f.all = append(f.all, Finding{kind, quoted(what), fmt.Sprintf(format, args...)})
	}
}

// list gives the findings, and for each kind of which there were too many one that
// says so.
func (f *findings) list() []Finding {
	for _, kind := range []string{KindName, KindLink, KindUnreadable, KindFile, KindConfig, KindUnlisted, KindBound, KindContainer} {
		if n := f.more[kind] - maxFindings; n > 0 {
			f.all = append(f.all, Finding{KindBound, kind, fmt.Sprintf("%d more of this kind", n)})
		}
	}
	return f.all
}

// quoted gives a text in ASCII, between quotes where it is not plain.
func quoted(s string) string {
	const most = 256
	if q := strconv.QuoteToASCII(s[:min(len(s), most)]); q != `"`+s+`"` {
		return q
	}
	return s
}
