package identify

import (
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// sameAct is how long one act seen by several hooks or tools is one act.
	sameAct = time.Second
	// maxActs bounds the acts and the announced kills that are remembered.
	maxActs = 8192
)

// acts remembers what was just done, to tell a second report of one act from a
// second act, and a kill that happened from one that was only announced.
type acts struct {
	recent *simplelru.LRU[string, act]
	doomed *simplelru.LRU[string, doom] // by exec id, see kill
}

type act struct {
	ID       string    `json:"id"`
	PID      uint32    `json:"pid"`
	Received time.Time `json:"received"`
	// By is how sure it was who acted.
	By event.Evidence `json:"by,omitzero"`
}

// strength orders evidence, strongest first.
var strength = []event.Evidence{event.ByKernel, event.ByToken, event.ByPeer, event.ByClaim, ""}

// covers says whether ev can be a repeat of the act. A stronger report is never
// the repeat of a weaker one: else a forged record would hide the sensor's own.
func (a act) covers(ev *event.Event, pid uint32) bool {
	return ev.Received.Sub(a.Received) < sameAct && (pid == 0 || a.PID == 0 || pid == a.PID) &&
		slices.Index(strength, a.By) <= slices.Index(strength, ev.Agent.By)
}

type doom struct {
	ID     string `json:"id"`
	Policy string `json:"policy"`
}

func newActs() *acts {
	recent, _ := simplelru.NewLRU[string, act](maxActs, nil) // errs on a size < 1 only
	doomed, _ := simplelru.NewLRU[string, doom](maxActs, nil)
	return &acts{recent, doomed}
}

// note marks ev as a duplicate of an act already seen, and an exit as the kill
// that a policy announced. It reports whether ev was changed.
func (a *acts) note(ev *event.Event) bool {
	if p := ev.Process; p != nil && p.ExecID != "" && a.kill(ev) {
		return true
	}
	key := actKey(ev)
	if key == "" {
		return false
	}
	var pid uint32
	if ev.Process != nil {
		pid = ev.Process.PID
	}
	if seen, ok := a.recent.Get(key); ok && seen.covers(ev, pid) {
		ev.DuplicateOf = seen.ID
		return true
	}
	a.recent.Add(key, act{ev.ID, pid, ev.Received, ev.Agent.By})
	return false
}

// kill joins an announced SIGKILL with the exit that proves it.
func (a *acts) kill(ev *event.Event) bool {
	id := ev.Process.ExecID
	if !ev.Origin.Sensor {
		id = "told:" + id // what is only told neither proves nor ends what a sensor saw
	}
	if ev.Asked == "sigkill" {
		a.doomed.Add(id, doom{ev.ID, ev.Policy})
		return false
	}
	if ev.Type != event.TypeProcessExit {
		return false
	}
	d, ok := a.doomed.Get(id)
	if !ok {
		return false
	}
	a.doomed.Remove(id)
	if ev.Process.Signal != "SIGKILL" {
		return false
	}
	ev.Action, ev.Policy, ev.Cause = event.ActionKilled, d.Policy, d.ID
	return true
}

// actKey names an act: who did what to which object. Sensors disagree on the
// process (Falco's rules often give no pid), so it is compared apart.
func actKey(ev *event.Event) string {
	if !event.Security(ev.Type) || ev.Source != event.SourceTetragon && ev.Source != event.SourceFalco {
		return ""
	}
	var object string
	switch {
	case ev.Network != nil && ev.Network.DstIP.IsValid():
		object = ev.Network.DstIP.String() + ":" + strconv.Itoa(int(ev.Network.DstPort))
	case ev.File != nil && ev.File.Path != "":
		object = ev.File.Path
	default:
		return ""
	}
	who := ev.Agent.Key()
	if who == "" {
		who = ev.Host + "/" + ev.Container.ID[:min(minIDPrefix, len(ev.Container.ID))]
	}
	return who + "\x00" + ev.Type + "\x00" + object
}
