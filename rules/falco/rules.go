package falco

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// Fields of the outputs: pipeline/event reads them back.
const (
	actorFields     = " process=%proc.name pid=%proc.pid command=%proc.cmdline exe=%proc.exepath cwd=%proc.cwd parent=%proc.pname user=%user.name user_uid=%user.uid"
	containerFields = " container_id=%container.id container_name=%container.name image=%container.image.repository"
	podFields       = " pod=%k8s.pod.name namespace=%k8s.ns.name"
	coreFields      = " agent=%proc.env[OPENCLAW_AGENT]"
)

// Priorities, upper case as Falco's schema has them.
const (
	critical = "CRITICAL"
	warning  = "WARNING"
)

// items gives the file's items in their order.
func (g *generator) items() []any {
	items := []any{engineItem{"0.57.0"}}
	if !g.core {
		items = append(items, pluginItem{[]plugin{{"container", "0.2.0"}}})
	}
	agent := g.agentContainer()
	items = append(items,
		listItem{listNets, g.allowedNets()},
		listItem{listBinaries, g.binaryNames()},
		macroItem{macroAgent, literal(agent)},
		macroItem{macroOpened, literal("(evt.type in (open, openat, openat2) and fd.num >= 0)")},
	)
	for _, r := range g.rules() {
		r.Output += g.actorFields()
		r.Tags = append([]string{"g0", "openclaw"}, r.Tags...)
		items = append(items, r)
	}
	return items
}

func (g *generator) actorFields() string {
	switch {
	case g.core:
		return actorFields + coreFields
	case g.d.ScopeKind() == deployment.ScopeKubernetes:
		return actorFields + containerFields + podFields
	}
	return actorFields + containerFields
}

// rules gives the nine in the order of their names' constants.
func (g *generator) rules() []ruleItem {
	return []ruleItem{
		{RuleLogTampering, "A log or a session transcript was deleted, moved away or emptied.", literal(g.logTampering()),
			"Log deleted, moved or emptied | event=%evt.type path=%fs.path.name arg=%evt.arg.name file=%fd.name source=%fs.path.source target=%fs.path.target flags=%evt.arg.flags",
			critical, []string{"mitre_defense_evasion", "T1070.002"}},
		{RuleCrossAgentAccess, "An agent opened a file of another agent.", literal(g.crossAgent()),
			"Agent opened a file of another agent | event=%evt.type file=%fd.name flags=%evt.arg.flags",
			critical, []string{"mitre_collection", "T1005"}},
		{RuleDockerSocketAccess, "An agent connected to the socket of a container runtime.", literal(g.dockerSocket()),
			"Agent connected to a container runtime | event=%evt.type socket=%evt.arg.addr result=%evt.res",
			critical, []string{"container", "mitre_privilege_escalation", "T1611"}},
		{RuleGatewayExternalBind, "The gateway's port was bound to an address that is not loopback.", literal(g.gatewayBind()),
			"Gateway port bound outside of loopback | event=%evt.type bind=%fd.name server_ip=%fd.sip server_port=%fd.sport",
			critical, []string{"network", "mitre_initial_access", "T1133"}},
		{RuleCredentialAccess, "An agent opened a file with credentials.", literal(g.credentials()),
			"Agent opened a file with credentials | event=%evt.type file=%fd.name flags=%evt.arg.flags",
			warning, []string{"mitre_credential_access", "T1552.001"}},
		{RuleSessionAccess, "A program other than OpenClaw opened a session transcript.", literal(g.sessions()),
			"Session transcript opened by another program | event=%evt.type file=%fd.name flags=%evt.arg.flags",
			warning, []string{"mitre_collection", "T1005"}},
		{RuleSensitiveBinary, "An agent started a program that moves data out, looks around or builds code.", literal(g.sensitiveBinary()),
			"Sensitive program started by an agent | event=%evt.type grandparent=%proc.aname[2]",
			warning, []string{"mitre_execution", "T1059"}},
		{RuleRootContainer, "A program of an agent runs as uid 0.", literal(g.root()),
			"Program started as root by an agent | event=%evt.type vpid=%proc.vpid grandparent=%proc.aname[2]",
			warning, []string{"container", "mitre_privilege_escalation", "T1611"}},
		{RuleUnexpectedEgress, "An agent connected to what is not on the allow list.", literal(g.egress()),
			"Agent connection outside of the allow list | event=%evt.type connection=%fd.name client_ip=%fd.cip client_port=%fd.cport server_ip=%fd.sip server_port=%fd.sport proto=%fd.l4proto server_name=%fd.sip.name",
			warning, []string{"network", "mitre_exfiltration", "T1048"}},
	}
}

// logTampering looks for the path where each call has it: fd.name is empty for
// unlink and the folder for unlinkat. An open that made the file emptied nothing.
func (g *generator) logTampering() string {
	logs := func(field string) string { return g.touches("logs", field, g.d.Logs) }
	if logs("fd.name") == "" {
		g.note("There are no logs in the description: %s watches nothing.", RuleLogTampering)
		return never
	}
	return strings.Join([]string{
		group("evt.type = unlink", "evt.rawres = 0", logs("fs.path.name"), not(g.rolled("fs.path.name"))),
		group("evt.type = unlinkat", "evt.rawres = 0", logs("evt.arg.name"), not(g.rolled("evt.arg.name"))),
		group("evt.type in (rename, renameat, renameat2)", "evt.rawres = 0", logs("fs.path.source"),
			"not fs.path.target startswith val(fs.path.source)", not(g.rolled("fs.path.source", "fs.path.target"))),
		group(macroOpened, "evt.arg.flags contains O_TRUNC", "not evt.is_open_create = true", logs("fd.name")),
	}, "\nor ")
}

// rolled says that OpenClaw itself acts on its daily logs, openclaw-DATE.log: it
// deletes those of the day before whenever a process of it begins to log, and
// numbers one that is full. The fields all hold such paths.
func (g *generator) rolled(fields ...string) string {
	runtime := g.runtime()
	if runtime == "" {
		return ""
	}
	parts := []string{runtime}
	for _, field := range fields {
		var daily []string
		for _, p := range g.d.Expand(g.d.Logs) {
			if p.Under != "" && p.End == "" && g.isOwn(p.Under) {
				daily = append(daily, field+" startswith "+g.quote("logs", p.Under+"openclaw-"))
			}
		}
		if len(daily) == 0 {
			return ""
		}
		parts = append(parts, or(daily...), field+` endswith ".log"`)
	}
	return group(parts...)
}

// never is the condition of a rule that has nothing to look for, with a type of
// event so that it costs nothing.
const never = "evt.type = unlink and evt.rawres = 0 and fs.path.name in ()"

func (g *generator) credentials() string {
	files := g.matches("credentials", "fd.name", g.d.Expand(g.d.Credentials))
	if files == "" {
		g.note("There are no credentials in the description: %s watches nothing.", RuleCredentialAccess)
		return never
	}
	spared := ""
	if runtime := g.runtime(); runtime != "" {
		spared = group(runtime, g.startsWith("statePath", "fd.name", g.ownFolders()))
	}
	return lines(macroOpened, "evt.is_open_read = true", files, macroAgent, not(spared))
}

func (g *generator) sessions() string {
	files := g.touches("sessions", "fd.name", g.d.Sessions)
	if files == "" {
		g.note("There are no sessions in the description: %s watches nothing.", RuleSessionAccess)
		return never
	}
	return lines(macroOpened, files, not(g.runtime()))
}

func (g *generator) root() string {
	return lines("evt.type in (execve, execveat)", "evt.rawres = 0", "user.uid = 0", macroAgent, g.noCheck())
}

// noCheck leaves out what a container's health check or a pod's probe starts every
// few seconds. Core fields cannot tell.
func (g *generator) noCheck() string {
	checks := []string{"proc.is_container_healthcheck = true"}
	switch {
	case g.core:
		return ""
	case g.d.ScopeKind() == deployment.ScopeKubernetes:
		checks = append(checks, "proc.is_container_liveness_probe = true", "proc.is_container_readiness_probe = true")
	}
	return not(or(checks...))
}

// binaryNames are for proc.name too, which has 15 characters.
func (g *generator) binaryNames() []string {
	const comm = 15
	var names []string
	for _, b := range g.d.SensitiveBinaries {
		if strings.HasPrefix(b, "/") {
			continue
		}
		names = append(names, g.quote("sensitiveBinaries", b))
		if len(b) > comm {
			names = append(names, g.quote("sensitiveBinaries", strings.ToValidUTF8(b[:comm], "")))
		}
	}
	return slices.Compact(names)
}

func (g *generator) sensitiveBinary() string {
	var paths []string
	for _, b := range g.d.SensitiveBinaries {
		if strings.HasPrefix(b, "/") {
			paths = append(paths, g.quote("sensitiveBinaries", b))
		}
	}
	spared := ""
	if by := g.runtimeBy("proc.pexepath"); g.d.Gateway.StartsSandboxes && by != "" {
		spared = group(by, `proc.name in ("docker", "podman")`)
	}
	return lines("evt.type in (execve, execveat)", "evt.rawres = 0",
		or("proc.name in ("+listBinaries+")", "basename(proc.exepath) in ("+listBinaries+")", in("proc.exepath", paths)),
		macroAgent, g.noCheck(), not(spared))
}

// dockerSocket compares the address that the program gave, whose end is the
// socket's name wherever the socket is mounted.
func (g *generator) dockerSocket() string {
	var names []string
	for _, s := range g.d.RuntimeSockets {
		if name := path.Base(s); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		g.note("There are no runtime sockets in the description: %s watches nothing.", RuleDockerSocketAccess)
		return never
	}
	parts := []string{in("evt.arg.addr", g.quoteAll("runtimeSockets", names))}
	for _, n := range names {
		parts = append(parts, "evt.arg.addr endswith "+g.quote("runtimeSockets", "/"+n))
	}
	spared := ""
	if g.d.Gateway.StartsSandboxes {
		spared = or(g.runtime(), g.runtimeBy("proc.pexepath"))
	}
	return lines("evt.type = connect", or(parts...), macroAgent, not(spared))
}

func (g *generator) gatewayBind() string {
	switch b := g.d.Gateway.Bind; {
	case b != "" && b != "loopback" && b != "auto":
		g.note("gateway.bind is %s: the gateway's own start gives %s.", b, RuleGatewayExternalBind)
	case b != "loopback" && g.d.Gateway.Container != (deployment.Container{}):
		g.note("gateway.bind is not set to loopback, and in a container OpenClaw then takes every address: the gateway's own start gives %s.", RuleGatewayExternalBind)
	}
	return lines("evt.type = bind", "evt.rawres >= 0", fmt.Sprintf("fd.sport = %d", g.d.Gateway.Port),
		`not fd.snet in ("127.0.0.0/8", "::1/128")`)
}
