package auditd

import (
	"fmt"
	"slices"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// maxRanges bounds the uid ranges for which rules are written: the kernel goes
// through all rules on each system call of every process.
const maxRanges = 16

// unset is the login uid of what no login started: services and containers.
const unset = "-F auid=unset"

// users are the uids of accounts that people and programs get on most systems
// (login.defs(5), UID_MIN and UID_MAX), and of OpenClaw's image, 1000.
var users = uidRange{1000, 60000}

// scope tells agents' processes from others, as far as audit can: it knows no
// containers.
type scope struct {
	// fields are alternatives, each "-F uid=1000" or a range.
	fields []string
	// known says that they rest on agents' uids, and exact that no other uid is
	// between those.
	known, exact bool
}

// findScope takes agents' uids, and the gateway's, which agents without a uid
// run as.
func (g *generator) findScope() {
	uids, missing := g.uids()
	ranges := joined(uids)
	tail := ""
	if inContainers(g.d) {
		tail = " " + unset
	}
	if len(ranges) == 0 {
		g.scope = scope{fields: []string{users.field() + tail}}
		g.note("No uid of an agent is known: connections over IP and executions are recorded for every uid from %d to %d, and not for agents of another uid, root among them. Set gateway.uid or agents[].uid; the owner of OpenClaw's state folder tells.", users.from, users.to)
		return
	}
	g.scope = scope{known: true, exact: len(ranges) <= maxRanges}
	if !g.scope.exact {
		g.note("The agents' uids form %d ranges, and rules for more than %d would slow the machine down: uids between them are recorded too.", len(ranges), maxRanges)
		ranges = nearest(ranges)
	}
	for _, r := range ranges {
		g.scope.fields = append(g.scope.fields, r.field()+tail)
	}
	g.note("audit knows no containers: connections and executions are recorded by uid, those of other processes with these uids too.")
	if uids[0] == 0 {
		g.note("Agents run as uid 0, which is also the host's root.")
	}
	if missing > 0 {
		g.note("Of %d agents no uid is known: their connections and executions are not recorded.", missing)
	}
}

// uids gives those that are known, sorted, and how many agents have none.
func (g *generator) uids() (uids []int, missing int) {
	gateway := g.d.Gateway.UID
	if gateway != nil {
		uids = append(uids, *gateway)
	}
	for _, a := range g.d.Agents {
		if a.UID != nil {
			uids = append(uids, *a.UID)
		} else if gateway == nil {
			missing++
		}
	}
	slices.Sort(uids)
	return slices.Compact(uids), missing
}

// uidRange has both its ends in it.
type uidRange struct{ from, to int }

func (r uidRange) field() string {
	if r.from == r.to {
		return fmt.Sprintf("-F uid=%d", r.from)
	}
	return fmt.Sprintf("-F uid>=%d -F uid<=%d", r.from, r.to)
}

// joined makes ranges of sorted uids that follow each other; they never hold one
// more.
func joined(uids []int) []uidRange {
	var out []uidRange
	for _, u := range uids {
		if n := len(out); n > 0 && out[n-1].to+1 == u {
			out[n-1].to = u
			continue
		}
		out = append(out, uidRange{u, u})
	}
	return out
}

// nearest joins the ranges with the fewest uids between them, until there are
// maxRanges.
func nearest(ranges []uidRange) []uidRange {
	gaps := make([]int, 0, len(ranges)-1)
	for i := range ranges[1:] {
		gaps = append(gaps, ranges[i+1].from-ranges[i].to)
	}
	slices.Sort(gaps)
	widest := gaps[len(gaps)-maxRanges+1:]
	out := ranges[:1:1]
	for _, r := range ranges[1:] {
		gap := r.from - out[len(out)-1].to
		i := slices.Index(widest, gap)
		if i < 0 {
			out[len(out)-1].to = r.to
			continue
		}
		widest = slices.Delete(widest, i, i+1)
		out = append(out, r)
	}
	return out
}

// inContainers says whether all that agents do is done in containers, which no
// login starts: their login uid is unset, that of a person with the same uid not.
func inContainers(d *deployment.Deployment) bool {
	if d.Gateway.Container != (deployment.Container{}) {
		return true
	}
	return len(d.Agents) > 0 && !slices.ContainsFunc(d.Agents, func(a deployment.Agent) bool {
		return !slices.ContainsFunc(a.Containers, func(c deployment.Container) bool { return c.Gateway })
	})
}
