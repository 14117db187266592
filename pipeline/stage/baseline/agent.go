package baseline

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// actor names an agent, or a gateway of whose agents it is not known which acted.
type actor struct {
	name    string
	gateway bool
}

const gatewayPrefix = "gateway:"

func actorOf(a event.Agent) actor {
	if a.ID != "" {
		return actor{name: a.ID}
	}
	return actor{a.Gateway, a.Gateway != ""}
}

// parseKey is the reverse of key.
func parseKey(key string) actor {
	if name, ok := strings.CutPrefix(key, gatewayPrefix); ok {
		return actor{name, true}
	}
	return actor{name: key}
}

// maxGateway bounds a gateway's name in bytes: with its prefix it is the name of a
// shard, whose own bound is 255.
const maxGateway = 200

// sound says whether the name can stand in a document and name a shard.
func (a actor) sound() bool {
	if a.gateway {
		return a.name != "" && len(a.name) <= maxGateway && utf8.ValidString(a.name)
	}
	return event.ValidAgentID(a.name)
}

// key is [event.Agent.Key].
func (a actor) key() string {
	if a.gateway {
		return gatewayPrefix + a.name
	}
	return a.name
}

// agent is what is known of one actor. Times are Unix seconds.
type agent struct {
	actor
	of      string // the gateway that runs it, where that is known
	used    uint64 // Seq of its last event: the order in which agents are forgotten
	changed uint64 // Seq of the last event that changed anything here
	saved   bool   // Shards gave it out

	tables [features]table

	events      uint64 // seen
	last        int64  // event seen
	since       int64  // of learning
	taught      uint64 // events that were learned from
	quiet       uint64 // of them the last ones, with nothing in them that is not learned
	activeSince int64  // 0: not active
	frozen      bool

	alert alert
	// ownAlert is when the last alert ends that is the gateway's own, and so any of
	// its agents'; only of gateways.
	ownAlert int64
	held     int64    // seconds of the time since that were under alert
	counted  int64    // when an event was last learned from
	causes   []string // of the alerts that g0 itself told of, newest last

	told    [features]budget
	claimed [features]int64 // something merely claimed is not to be told again before
	lost    [features]loss
}

// alert is the last time that an agent was under alert.
type alert struct {
	typ   string // of the event
	at    int64
	until int64
}

func (a *agent) active() bool { return a.activeSince != 0 }

// state as users see it.
func (a *agent) state() string {
	if a.active() {
		return StateActive
	}
	return StateLearning
}

// items counts the items of all features.
func (a *agent) items() (n int) {
	for i := range a.tables {
		n += len(a.tables[i].items)
	}
	return n
}

// alarm puts the agent under alert from now on, and takes back what it learned
// just before.
func (a *agent) alarm(typ string, now int64, l *limits) {
	a.hold(typ, now, now+l.quarantine)
	a.quiet = 0
	if from := now - l.lookBack; a.counted > from {
		for i := range a.tables {
			a.tables[i].takeBack(from, now, l)
		}
		a.counted = 0
	}
}

// hold lengthens the alert. After the clock was set back it may end before it began.
func (a *agent) hold(typ string, at, until int64) {
	if until > a.alert.until {
		a.held += max(0, until-max(a.alert.until, at))
		a.alert.until = until
	}
	a.alert.typ, a.alert.at = typ, at
}

// underAlert says whether nothing may be learned at now. When the clock was set
// back, an alert lasts no longer than one from now on.
func (a *agent) underAlert(now int64, l *limits) bool {
	a.alert.until = min(a.alert.until, now+l.quarantine)
	return now < a.alert.until
}

// learn counts an event towards coverage, known if all its items are learned, and
// says whether coverage is reached with it.
func (a *agent) learn(now int64, known bool, l *limits) bool {
	a.taught++
	a.counted = now
	a.quiet++
	if !known {
		a.quiet = 0
	}
	if now < a.since { // the clock was set back
		a.since, a.held = now, 0
	}
	if a.active() || a.taught < l.MinEvents || a.quiet < l.Quiet || a.learnedFor(now) < l.minTime {
		return false
	}
	a.activeSince = now
	return true
}

// learnedFor is the time since the first event, without that under alert.
func (a *agent) learnedFor(now int64) int64 {
	return max(0, now-a.since-a.held+max(0, a.alert.until-now))
}

// maxCauses is how many alerts are remembered, to know one that is told again
// after a restart.
const maxCauses = 16

// knowsCause says whether an alert was told before, and remembers it.
func (a *agent) knowsCause(id string) bool {
	if slices.Contains(a.causes, id) {
		return true
	}
	if len(a.causes) == maxCauses {
		a.causes = slices.Delete(a.causes, 0, 1)
	}
	a.causes = append(a.causes, id)
	return false
}
