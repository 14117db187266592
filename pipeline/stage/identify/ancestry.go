package identify

import (
	"strings"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// maxLive bounds the processes under gateways that are remembered, maxEnded
	// those that ended: what they had started goes on.
	maxLive  = 16_384
	maxEnded = 2048
)

// tree knows the processes on the host that belong to gateways, by Tetragon's
// name for each, which is never used again.
type tree struct {
	patterns []pattern
	live     *simplelru.LRU[string, string] // exec id → gateway
	ended    *simplelru.LRU[string, string]
	lost     tally
}

// pattern is a process that is a gateway.
type pattern struct {
	Process
	gateway string
}

func newTree() *tree {
	t := new(tree)
	t.live, _ = simplelru.NewLRU[string, string](maxLive, nil) // errs on a size < 1 only
	t.ended, _ = simplelru.NewLRU[string, string](maxEnded, nil)
	return t
}

// concerns says whether ev can be of a gateway's process: a kernel sensor saw it
// on the host.
func (t *tree) concerns(ev *event.Event) bool {
	return len(t.patterns) > 0 && ev.Process != nil && ev.Process.ExecID != "" && ev.Origin.Sensor &&
		ev.Source == event.SourceTetragon && ev.Container == (event.Container{})
}

// learn follows what gateways start.
func (t *tree) learn(ev *event.Event) {
	p := ev.Process
	if t.ended.Contains(p.ExecID) { // this comes late
		return
	}
	gateway, ok := t.live.Get(p.ExecID)
	if !ok {
		gateway, ok = t.inherited(p)
	}
	if !ok {
		gateway, ok = t.recognise(p)
	}
	if !ok {
		return
	}
	if ev.Type == event.TypeProcessExit {
		t.end(p.ExecID, gateway)
		return
	}
	if ev.Type == event.TypeProcessExec && len(p.Ancestors) > 0 && p.Ancestors[0].PID == p.PID {
		t.end(p.Ancestors[0].ExecID, gateway) // the process went on as another program
	}
	t.keep(ev, p.ExecID, gateway)
	if len(p.Ancestors) > 0 && t.above(p, gateway) {
		t.keep(ev, p.Ancestors[0].ExecID, gateway)
	}
}

// above says whether p's parent, which may have begun before g0 did or have forked
// without running a program, is the gateway's too.
func (t *tree) above(p *event.Process, gateway string) bool {
	parent := &p.Ancestors[0]
	if t.matching(parent.Exe, parent.Args, p.UID) == gateway {
		return true
	}
	if len(p.Ancestors) < 2 || t.ended.Contains(parent.ExecID) {
		return false
	}
	of, known := t.live.Peek(p.Ancestors[1].ExecID)
	return known && of == gateway
}

func (t *tree) keep(ev *event.Event, execID, gateway string) {
	if execID != "" && t.live.Add(execID, gateway) {
		t.lost.add(ev.Received)
	}
}

func (t *tree) end(execID, gateway string) {
	t.live.Remove(execID)
	t.ended.Add(execID, gateway)
}

// of gives the gateway that the process belongs to.
func (t *tree) of(p *event.Process) (gateway string, ok bool) {
	if gateway, ok = t.live.Peek(p.ExecID); ok {
		return gateway, true
	}
	gateway, ok = t.ended.Peek(p.ExecID)
	return gateway, ok
}

// inherited looks for a known ancestor; the nearest decides.
func (t *tree) inherited(p *event.Process) (gateway string, ok bool) {
	for _, a := range p.Ancestors {
		if a.ExecID == "" {
			continue
		}
		if gateway, ok = t.live.Get(a.ExecID); ok {
			return gateway, true
		}
		if gateway, ok = t.ended.Peek(a.ExecID); ok {
			return gateway, true
		}
	}
	return "", false
}

// recognise looks for a gateway by what it looks like: in the process itself or,
// since it may have begun before g0 did, above it. A gateway in a container that
// no sensor told apart has a shim above it.
func (t *tree) recognise(p *event.Process) (gateway string, ok bool) {
	gateway = t.matching(p.Exe, p.Args, p.UID)
	for _, a := range p.Ancestors {
		if shim(a.Exe) {
			return "", false
		}
		if gateway == "" {
			gateway = t.matching(a.Exe, a.Args, p.UID)
		}
	}
	return gateway, gateway != ""
}

// matching gives the one gateway that a process of this user looks like; "" for
// none, and for several.
func (t *tree) matching(exe, args string, uid *uint32) (gateway string) {
	if uid == nil {
		return ""
	}
	for _, p := range t.patterns {
		if p.UID != *uid || !p.like(exe, args) || p.gateway == gateway {
			continue
		}
		if gateway != "" {
			return ""
		}
		gateway = p.gateway
	}
	return gateway
}

func (p *pattern) like(exe, args string) bool {
	if p.Exe == "" && p.Args == "" {
		return openclaw(exe, args)
	}
	return (p.Exe == "" || p.Exe == exe) && strings.Contains(args, p.Args)
}

// broker is the script of OpenClaw's spawn broker, under which its exec tool
// starts commands.
const broker = "dist/process/spawn-broker/worker.js"

// openclaw says whether it looks like OpenClaw's gateway, "node … openclaw …
// gateway …", or its spawn broker.
func openclaw(exe, args string) bool {
	base := exe[strings.LastIndexByte(exe, '/')+1:]
	if !strings.HasPrefix(base, "node") && !strings.HasPrefix(base, "openclaw") {
		return false
	}
	if strings.HasPrefix(base, "node") {
		var script string
		if script, args = word(args); strings.HasSuffix(script, broker) {
			return true
		} else if !strings.Contains(script, "openclaw") {
			return false
		}
	}
	command, _ := word(args)
	return command == "gateway"
}

// word gives the first of some arguments that is no flag, and those after it.
func word(args string) (first, rest string) {
	for rest = args; rest != ""; {
		if first, rest, _ = strings.Cut(rest, " "); first != "" && first[0] != '-' {
			return first, rest
		}
	}
	return "", ""
}

// shim says whether a program starts containers.
func shim(exe string) bool {
	base := exe[strings.LastIndexByte(exe, '/')+1:]
	return strings.HasPrefix(base, "containerd-shim") || base == "conmon" || base == "docker-init"
}
