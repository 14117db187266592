package probe

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/procfs"

	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

const (
	// maxProcesses bounds those that are looked at.
	maxProcesses = 100_000
	// gatewayComm is the gateway's name in the kernel, which keeps 15 characters of
	// openclaw-gateway.
	gatewayComm = "openclaw-gatewa"
	// execMark is what OpenClaw sets for commands of its exec tool.
	execMark = "OPENCLAW_SHELL=exec"
)

// process is one of the agents' or the gateway's.
type process struct {
	scan.Process
	proc  procfs.Proc
	agent string
}

// lookAtProcesses fills the facts that stand in procfs.
func lookAtProcesses(ctx context.Context, o Options, found boxes, f *scan.Facts) {
	all, err := table(ctx, o.Proc)
	if err != nil {
		f.Processes, f.Falco = scan.Unknown[[]scan.Process](reason(err)), scan.Unknown[scan.Falco](reason(err))
		f.Connections = scan.Unknown[[]scan.Connection](reason(err))
		return
	}
	ours := belonging(all, found)
	out := []scan.Process{}
	agents := map[int]bool{}
	for _, p := range ours {
		out = append(out, p.Process)
		agents[p.PID] = true
	}
	f.Falco = fact(falco(o, all, agents))
	f.Processes = scan.Of(out)
	lookAtSockets(ctx, o, ours, found, f)
}

// row is a process as it was found.
type row struct {
	proc procfs.Proc
	comm string
	ppid int
}

// table reads who there is.
func table(ctx context.Context, at string) ([]row, error) {
	fs, err := procfs.NewFS(at)
	if err != nil {
		return nil, err
	}
	procs, err := fs.AllProcs()
	if err != nil {
		return nil, err
	}
	if len(procs) > maxProcesses {
		return nil, fmt.Errorf("there are more than %d processes", maxProcesses)
	}
	var out []row
	for _, p := range procs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if stat, err := p.Stat(); err == nil { // else it has ended
			out = append(out, row{p, stat.Comm, stat.PPID})
		}
	}
	return out, nil
}

// belonging finds the processes in containers of the deployment, gateways on the
// host with all below them, and commands that bear OpenClaw's mark.
func belonging(all []row, found boxes) []process {
	gateways := map[int]bool{}
	parent := map[int]int{}
	for _, r := range all {
		parent[r.proc.PID] = r.ppid
		if r.comm == gatewayComm {
			gateways[r.proc.PID] = true
		}
	}
	known := map[int]bool{0: false}
	below := func(pid int) bool {
		var way []int
		at := pid
		for {
			is, ok := known[at]
			if !ok {
				is = gateways[at]
				way = append(way, at)
				known[at] = is // a table that is read while it changes may have a ring
			}
			if ok || is {
				for _, p := range way {
					known[p] = is
				}
				return is
			}
			at = parent[at]
		}
	}
	var out []process
	for _, r := range all {
		agent, contained := containerOf(r.proc, found.ids)
		env, _ := r.proc.Environ() // what cannot be read has no names
		exec := slices.Contains(env, execMark)
		if !contained && !exec && !below(r.proc.PID) {
			continue
		}
		status, err := r.proc.NewStatus()
		if err != nil {
			continue // it has ended
		}
		out = append(out, process{
			Process: scan.Process{PID: r.proc.PID, Comm: r.comm, UID: int(status.UIDs[1]), Exec: exec, EnvNames: envNames(env)},
			proc:    r.proc, agent: agent,
		})
	}
	return out
}

// containerOf gives whose container a process is in, by the ids in its cgroups.
func containerOf(p procfs.Proc, ids map[string]string) (agent string, ok bool) {
	if len(ids) == 0 {
		return "", false
	}
	groups, err := p.Cgroups()
	if err != nil {
		return "", false
	}
	for _, g := range groups {
		for part := range strings.SplitSeq(g.Path, "/") {
			id := strings.TrimSuffix(part[strings.LastIndexByte(part, '-')+1:], ".scope")
			if agent, ok := ids[id]; ok {
				return agent, true
			}
		}
	}
	return "", false
}

func envNames(env []string) []string {
	var out []string
	for _, e := range env {
		if name, _, ok := strings.Cut(e, "="); ok {
			out = append(out, name)
		}
	}
	return out
}

// falco finds Falco's process and the rules in its files, those of this machine
// and those that a Falco in a container sees. A process may call itself falco, so
// none of an agent is one, nor one without root's rights.
func falco(o Options, all []row, agents map[int]bool) (scan.Falco, error) {
	var out scan.Falco
	folders := []string{o.Falco}
	for _, r := range all {
		if r.comm == "falco" && !agents[r.proc.PID] && ofRoot(r.proc) {
			out.Running = true
			folders = append(folders, filepath.Join(o.Proc, fmt.Sprint(r.proc.PID), "root/etc/falco"))
		}
	}
	if !out.Running {
		return out, nil
	}
	names := map[string]bool{}
	var last error
	read := 0
	for _, dir := range folders {
		if err := falcoRules(dir, names); err != nil {
			last = err
			continue
		}
		read++
	}
	if read == 0 {
		return out, last
	}
	out.Rules = slices.Sorted(maps.Keys(names))
	return out, nil
}

func ofRoot(p procfs.Proc) bool {
	status, err := p.NewStatus()
	return err == nil && status.UIDs[1] == 0
}
