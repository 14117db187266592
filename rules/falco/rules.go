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
		group("evt.type = unlink", "evt.rawres = 0", logs("fs.path.name")),
		group("evt.type = unlinkat", "evt.rawres = 0", logs("evt.arg.name")),
		group("evt.type in (rename, renameat, renameat2)", "evt.rawres = 0", logs("fs.path.source"),
			"not fs.path.target startswith val(fs.path.source)"),
		group(macroOpened, "evt.arg.flags contains O_TRUNC", "not evt.is_open_create = true", logs("fd.name")),
	}, "\nor ")
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
	healthcheck := ""
	if !g.core {
		healthcheck = "not proc.is_container_healthcheck = true"
	}
	return lines("evt.type in (execve, execveat)", "evt.rawres = 0", "user.uid = 0", macroAgent, healthcheck)
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
		macroAgent, not(spared))
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
	if b := g.d.Gateway.Bind; b != "" && b != "loopback" && b != "auto" {
		g.note("gateway.bind is %s: the gateway's own start gives %s.", b, RuleGatewayExternalBind)
	}
	return lines("evt.type = bind", "evt.rawres >= 0", fmt.Sprintf("fd.sport = %d", g.d.Gateway.Port),
		`not fd.snet in ("127.0.0.0/8", "::1/128")`)
}
