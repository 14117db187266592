package identify

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// maxBoxes bounds the containers that are remembered.
	maxBoxes = 8192
	// fullID is the length of a container's id.
	fullID = 64
	// grace is how long a container that has ended is remembered: a sensor's last
	// events may come after Docker's.
	grace = 5 * time.Minute
)

// box is a container as Docker reported it.
type box struct {
	ID    string            `json:"id"`
	Name  string            `json:"name,omitzero"`
	Addrs []netip.Addr      `json:"addrs,omitzero"`
	Tell  map[string]string `json:"labels,omitzero"` // those that say whose it is
	Gone  time.Time         `json:"gone,omitzero"`   // when it ended
	Past  bool              `json:"past,omitzero"`   // the name is another's now

	// By the present configuration:
	who     event.Agent
	dispute string // what its labels say against it
}

// boxes are the containers that Docker reported, by id, name and address. Ids are
// never used again; names and addresses are, and are those of the newest.
type boxes struct {
	r      *Resolver
	byID   *simplelru.LRU[string, *box]
	cut    map[string][]*box // by the first digits of the id
	byName map[string]*box
	byAddr map[netip.Addr]*box
	gone   []*box // oldest first
	lost   tally
}

func newBoxes(r *Resolver) *boxes {
	b := &boxes{r: r, cut: map[string][]*box{}, byName: map[string]*box{}, byAddr: map[netip.Addr]*box{}}
	b.byID, _ = simplelru.NewLRU(maxBoxes, func(_ string, old *box) { b.unlink(old) }) // errs on a size < 1 only
	return b
}

// learn takes in what Docker reports. It returns what is to be said against it:
// labels that name somebody else than the configuration does, or nobody known.
func (b *boxes) learn(ev *event.Event) (dispute string) {
	if len(ev.Container.ID) != fullID {
		return ""
	}
	b.forget(ev.Received)
	old, known := b.byID.Peek(ev.Container.ID)
	if ev.Type == event.TypeContainerStopped {
		if known {
			b.end(old, ev.Received)
		}
		return ""
	}
	next := b.read(ev)
	if known {
		b.byID.Remove(old.ID)
	} else if b.byID.Len() == maxBoxes {
		b.lost.add(ev.Received)
		if len(b.gone) > 0 {
			b.byID.Remove(b.gone[0].ID)
		}
	}
	b.add(next)
	if known && old.dispute == next.dispute {
		return ""
	}
	return next.dispute
}

// read makes a box of an event.
func (b *boxes) read(ev *event.Event) *box {
	x := &box{ID: ev.Container.ID, Name: ev.Container.Name}
	for name, value := range ev.Labels {
		if b.r.telling(name, value) {
			if x.Tell == nil {
				x.Tell = map[string]string{}
			}
			x.Tell[name] = value
		}
	}
	if len(ev.Data) > 0 {
		var data struct {
			Addresses []netip.Addr `json:"addresses"`
		}
		if json.Unmarshal(ev.Data, &data) == nil { // without them it is only known less well
			x.Addrs = data.Addresses
		}
	}
	return x
}

// add remembers x.
func (b *boxes) add(x *box) {
	x.who, x.dispute = b.r.whose(x)
	b.byID.Add(x.ID, x)
	short := x.ID[:minIDPrefix]
	b.cut[short] = append(b.cut[short], x)
	if !x.Gone.IsZero() {
		b.gone = append(b.gone, x)
		return
	}
	if x.Name != "" && !x.Past {
		if old, ok := b.byName[x.Name]; ok {
			old.Past = true
		}
		b.byName[x.Name] = x
	}
	for _, a := range x.Addrs {
		if old, ok := b.byAddr[a]; ok && old != x {
			old.Addrs = slices.DeleteFunc(slices.Clone(old.Addrs), func(o netip.Addr) bool { return o == a })
		}
		b.byAddr[a] = x
	}
}

// end says that x has ended: its name and addresses are free for another.
func (b *boxes) end(x *box, at time.Time) {
	b.release(x)
	if x.Gone.IsZero() {
		x.Gone = at
		b.gone = append(b.gone, x)
		for i := len(b.gone) - 1; i > 0 && goneBefore(b.gone[i], b.gone[i-1]) < 0; i-- { // restore cannot know how they came
			b.gone[i], b.gone[i-1] = b.gone[i-1], b.gone[i]
		}
	}
}

func goneBefore(x, y *box) int { return cmp.Or(x.Gone.Compare(y.Gone), cmp.Compare(x.ID, y.ID)) }

func (b *boxes) release(x *box) {
	if b.byName[x.Name] == x {
		delete(b.byName, x.Name)
	}
	for _, a := range x.Addrs {
		if b.byAddr[a] == x {
			delete(b.byAddr, a)
		}
	}
}

// unlink takes x, which is no longer remembered, out of the indexes.
func (b *boxes) unlink(x *box) {
	b.release(x)
	if i := slices.Index(b.gone, x); i == 0 {
		b.gone[0], b.gone = nil, b.gone[1:]
	} else if i > 0 {
		b.gone = slices.Delete(b.gone, i, i+1)
	}
	short := x.ID[:minIDPrefix]
	left := slices.DeleteFunc(b.cut[short], func(o *box) bool { return o == x })
	if len(left) == 0 {
		delete(b.cut, short)
		return
	}
	b.cut[short] = left
}

// forget forgets what has been gone for long.
func (b *boxes) forget(now time.Time) {
	for len(b.gone) > 0 && now.Sub(b.gone[0].Gone) > grace {
		b.byID.Remove(b.gone[0].ID)
	}
}

// find gives the actor whose container has the id, which may be cut. known says
// that Docker knows it; if several have these digits and not one actor, it is
// nobody's.
func (b *boxes) find(id string) (who event.Agent, known bool) {
	var c choice
	for _, x := range b.cut[id[:minIDPrefix]] {
		if sameID(x.ID, id) {
			c.add(x.who)
		}
	}
	return c.who, c.any
}

// list gives all, oldest first.
func (b *boxes) list() []*box { return b.byID.Values() }

// restore takes back what list gave.
func (b *boxes) restore(list []*box) {
	for _, x := range list {
		if x != nil && len(x.ID) == fullID {
			b.add(x)
		}
	}
	slices.SortFunc(b.gone, goneBefore)
}

// whose says whose container it is: as it is configured, by id, name or labels,
// else as OpenClaw's labels say.
func (r *Resolver) whose(x *box) (who event.Agent, dispute string) {
	labelled, refused := r.bySandbox(x.Tell)
	who, ok := r.byConfiguredID(x.ID)
	if !ok {
		who, ok = r.names[x.Name]
	}
	if !ok {
		who, ok = r.selectors.find(x.Tell)
	}
	switch {
	case !ok && refused != "":
		return event.Agent{}, fmt.Sprintf("container %q says that it is of agent %q, which no gateway here runs", x.Name, refused)
	case !ok:
		return labelled, ""
	case refused == "" && (labelled.ID == "" || who.ID == labelled.ID || who.ID == "" && who.Gateway == labelled.Gateway):
		return who, ""
	}
	return who, fmt.Sprintf("container %q says that it is of agent %q, but it is configured as of %q", x.Name, cmp.Or(refused, labelled.ID), who.Key())
}
