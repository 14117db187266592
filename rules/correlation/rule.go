package correlation

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Bounds of the language.
const (
	// MaxWithin bounds windows: they live in memory.
	MaxWithin = 24 * time.Hour
	// MaxSteps bounds the steps of a rule.
	MaxSteps = 8
	// MaxCount bounds the min of a count.
	MaxCount = 1024
)

// GroupSecurity stands in [Match.Types] for every security type.
const GroupSecurity = "@security"

// Key says what the events of a match have in common.
type Key string

// The keys.
const (
	KeyAgent     Key = "agent"
	KeySession   Key = "session"
	KeyContainer Key = "container"
	KeyHost      Key = "host"
	KeyGateway   Key = "gateway"
)

var keys = []string{string(KeyAgent), string(KeySession), string(KeyContainer), string(KeyHost), string(KeyGateway)}

// DistinctProcess is the only value of [Rule.Distinct] but "".
const DistinctProcess = "process"

// SameCommand is the only value of [Unless.Same] but "".
const SameCommand = "command"

// Rule is one correlation rule, as [Parse] accepts it. Exactly one of All,
// Sequence and Count is set. It is read-only after Parse.
type Rule struct {
	// ID, "CT-001": upper case, so that its lower case is unique too.
	ID    string
	Title string
	// Type of the derived event without "threat.".
	Type string
	// Severity by name, "critical".
	Severity string
	// Confidence that a match is an attack, 0 to 1.
	Confidence float64
	// Attack and Atlas are technique ids.
	Attack []string
	Atlas  []string
	// Narrative is the template: see [Narrate].
	Narrative string
	Key       Key
	// Within is the width of the window, more than 0, at most [MaxWithin].
	Within time.Duration
	// Distinct, if [DistinctProcess], wants the two hits of a match from two
	// processes, unless they are more than a second apart.
	Distinct string `json:",omitempty"`

	All      []Step
	Sequence []Step
	Count    *Count
	// Unless takes a match back; nil: nothing does.
	Unless *Unless

	// File and Line where the rule begins, for messages.
	File string `json:"-"`
	Line int    `json:"-"`
}

// Step says which events are a hit: those that one of Any accepts.
type Step struct {
	// Name for the reader; may be empty.
	Name string
	// Any has at least one entry.
	Any []Match
}

// Match accepts an event if all that it names holds.
type Match struct {
	// Types: names, [GroupSecurity], and names with "!" in front that are taken
	// out again. Never empty.
	Types []string
	// Tools, if not empty: the tool's name is one of them.
	Tools []string
	// Has, if not empty: the event has all of these fields.
	Has []string
	// Is, if not empty: each of these fields has one of its values. Sorted by field.
	Is []Is `json:",omitempty"`
	// Where, if not empty, is a condition in Bloblang.
	Where string
	// Line of Where in the rule's file, for messages.
	Line int `json:"-"`
}

// Is names a field of an event and the values that are accepted.
type Is struct {
	Field string
	// Values, of which one must be that of the field; one with "!" in front must
	// not be. Never empty; if all begin with "!", any other value will do.
	Values []string
}

// Count is a step that must be hit several times.
type Count struct {
	Of Step
	// Min hits, 2 to [MaxCount].
	Min int
}

// Unless is a step that takes a match back.
type Unless struct {
	Step Step
	// Within after the match, at most [MaxWithin]. 0: only what is in the window
	// already counts.
	Within time.Duration
	// Before the last step of the match, at most [MaxWithin]: such an event counts
	// only from then on. 0: from the beginning of the window.
	Before time.Duration `json:",omitempty"`
	// Same, if [SameCommand]: such an event counts only if its command is that of
	// the last step of the match.
	Same string `json:",omitempty"`
}

// Near says whether such an event counts only near the last step of the match,
// or only with its command: then each hit of that step is judged by itself.
func (u *Unless) Near() bool { return u != nil && (u.Before > 0 || u.Same != "") }

// Steps gives the steps of the rule, in the order of the file; a count has one.
func (r *Rule) Steps() []Step {
	switch {
	case r.Count != nil:
		return []Step{r.Count.Of}
	case r.Sequence != nil:
		return r.Sequence
	default:
		return r.All
	}
}

// Fingerprint is equal for rules that say the same, wherever they stand. Windows
// kept over a restart are used again only by the rule that filled them.
func (r *Rule) Fingerprint() string {
	b, err := json.Marshal(r)
	if err != nil { // strings, finite numbers and lists of them
		panic(fmt.Sprintf("correlation: encode rule %s: %v", r.ID, err))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
