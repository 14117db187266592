package auditd

import "github.com/guard0-ai/g0-sidecar/rules/deployment"

// Fields of rules that more than one section writes.
const (
	// absent is the result of a probe for a file that is not there: noise.
	absent  = " -F exit=-ENOENT"
	present = " -F exit!=-ENOENT"
	touched = " -F perm=rwa"

	syscallsConnect = "-S connect"
	syscallsExec    = "-S execve,execveat"
)

// exclusions come before everything else: the first rule that matches decides.
func (g *generator) exclusions() {
	g.section("Noise", "Probes for files, sockets and programs that are not there.")
	for _, dir := range g.data {
		g.rule(never, "-F dir="+must(dir)+touched+absent)
	}
	if !g.scope.exact {
		return // others are not ours to be silent about
	}
	for _, who := range g.scope.fields {
		g.rule(never, syscallsConnect+" -F saddr_fam=1"+absent+" "+who)
		g.rule(never, syscallsExec+absent+" "+who)
	}
}

func (g *generator) agentData() {
	g.section("Agent data access", "g0_agent_data: agents' folders and workspaces, read, written or their modes changed, by anybody.")
	for _, dir := range g.data {
		keys := []string{KeyAgentData}
		if len(g.folders) == 0 && within(g.d.AgentDataPath, []string{dir}) {
			keys = append(keys, KeySessions) // nothing narrower tells them
		}
		g.rule(always, "-F dir="+must(dir)+touched, keys...)
	}
}

// watches writes the rules of one list of files.
func (g *generator) watches(title, text string, list []watch) {
	g.section(title, text)
	for _, w := range list {
		where := "-F " + w.kind + "=" + must(w.at) + touched
		if within(w.at, g.data) {
			// -A: in front of the folder that it is in, and of its exclusion.
			g.rule(inFront, where+present, w.keys...)
			continue
		}
		if !w.scoped {
			g.rule(always, where, w.keys...)
			continue
		}
		for _, who := range g.scope.fields {
			g.rule(always, where+" "+who, w.keys...)
		}
	}
	if len(list) == 0 {
		g.body.WriteString(deployment.Comment("No rule of its own: see the notes."))
	}
}

func (g *generator) network() {
	title, families := "g0_network: every connect of agents, to unix sockets too. Datagrams sent without one are not seen.", []string{""}
	if !g.scope.known {
		// Of everybody's connections those to unix sockets are the most by far.
		title, families = "g0_network: every connect over IPv4 and IPv6. Datagrams sent without one are not seen.", []string{"-F saddr_fam=2 ", "-F saddr_fam=10 "}
	}
	g.section("Network connections", title)
	for _, who := range g.scope.fields {
		for _, family := range families {
			g.rule(always, syscallsConnect+" "+family+who, KeyNetwork)
		}
	}
	g.body.WriteString(deployment.Comment("32-bit programs on x86 may connect by socketcall (3 is connect in linux/net.h); on other machines auditctl reports these lines and goes on."))
	for _, who := range g.scope.fields {
		for _, family := range families {
			g.line(always, "b32", "-S socketcall -F a0=0x3 "+family+who, KeyNetwork)
		}
	}
}

func (g *generator) execution() {
	g.section("Process execution", "g0_exec: every program that agents start.")
	for _, who := range g.scope.fields {
		g.rule(always, syscallsExec+" "+who, KeyExec)
	}
}

// must is for paths that collect has tried.
func must(p string) string {
	s, err := field(p)
	if err != nil {
		panic(err)
	}
	return s
}
