package scan

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/openclaw"
)

// The values that stand for unset keys are those of OpenClaw 2026.9.6.
var (
	execLimited = settings(func(_ *Facts, c *openclaw.Config) Result {
		return exec(c, "tools.exec.security", "full", func(t openclaw.Tools) *string { return t.Exec.Security }, "deny", "allowlist")
	}, "tools.exec", "agents.")

	execAsks = settings(func(_ *Facts, c *openclaw.Config) Result {
		return exec(c, "tools.exec.ask", "off", func(t openclaw.Tools) *string { return t.Exec.Ask }, "on-miss", "always")
	}, "tools.exec", "agents.")

	sandboxed = settings(func(_ *Facts, c *openclaw.Config) Result { return sandbox(c) }, "agents.")

	elevatedOff = settings(func(_ *Facts, c *openclaw.Config) Result {
		return closed(ofTools(c, "tools.elevated.enabled", "true", func(t openclaw.Tools) *string { return written(t.Elevated.Enabled) }), "false")
	}, "tools.elevated", "agents.")

	sessionsHidden = settings(func(_ *Facts, c *openclaw.Config) Result {
		return closed(ofTools(c, "tools.sessions.visibility", "all", func(t openclaw.Tools) *string { return t.Sessions.Visibility }), "self", "tree")
	}, "tools.sessions", "agents.")

	agentToAgentOff = settings(agentToAgent, "tools.agentToAgent")
	channelsClosed  = settings(channels, "channels")
	pluginsListed   = settings(plugins, "plugins")
)

// exec judges tools.exec.security or .ask. Where tools.exec.mode is set for the same
// agents, it is what OpenClaw goes by since it knows it; of its values deny,
// allowlist and ask let nothing run that nobody allowed. Whether a mode for all
// stands over what one agent has in the older keys was not tried: both are judged.
func exec(c *openclaw.Config, key, unset string, of func(openclaw.Tools) *string, ok ...string) Result {
	mode := ofTools(c, "tools.exec.mode", "", func(t openclaw.Tools) *string { return t.Exec.Mode })
	set := map[string]bool{}
	var values []value
	if !knowsMode(c) {
		mode = nil
	}
	for _, v := range mode {
		if set[v.agent] = v.is != nil; v.is != nil {
			values = append(values, v)
		}
	}
	for _, v := range ofTools(c, key, unset, of) {
		if !set[v.agent] {
			values = append(values, v)
		}
	}
	return closed(values, append(slices.Clone(ok), "deny", "allowlist", "ask")...)
}

// withoutMode is the last release that was seen not to know tools.exec.mode.
var withoutMode = []int{2026, 3, 13}

// knowsMode says whether the OpenClaw that wrote the file does. One that does not
// say which it is counts as new.
func knowsMode(c *openclaw.Config) bool {
	if c.Meta.LastTouchedVersion == nil {
		return true
	}
	var is []int
	for part := range strings.SplitSeq(*c.Meta.LastTouchedVersion, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			break // what follows a dash
		}
		is = append(is, n)
	}
	return len(is) < len(withoutMode) || slices.Compare(is, withoutMode) > 0
}

func sandbox(c *openclaw.Config) Result {
	return closed(forAgents(c, "sandbox.mode", "off", c.Agents.Defaults.Sandbox.Mode,
		func(a openclaw.Agent) *string { return a.Sandbox.Mode }), "all")
}

func agentToAgent(f *Facts, c *openclaw.Config) Result {
	if len(f.Deployment.Agents) == 1 {
		return notApplicable("there is one agent")
	}
	if allow := c.Tools.AgentToAgent.Allow; len(allow) > 0 && !slices.Contains(allow, "*") {
		return pass("tools.agentToAgent.allow lists who may")
	}
	return closed([]value{{key: "tools.agentToAgent.enabled", is: written(c.Tools.AgentToAgent.Enabled), unset: "true"}}, "false")
}

func channels(_ *Facts, c *openclaw.Config) Result {
	group := "allowlist"
	if c.Channels.Defaults.GroupPolicy != nil {
		group = *c.Channels.Defaults.GroupPolicy
	}
	var values []value
	for _, name := range slices.Sorted(maps.Keys(c.Channels.ByName)) {
		ch := c.Channels.ByName[name]
		if ch.Enabled == nil || *ch.Enabled {
			at := "channels." + Name(name)
			if slices.Contains(ch.AllowFrom, "*") && (ch.DMPolicy == nil || *ch.DMPolicy != "disabled") {
				values = append(values, value{key: at + ".allowFrom", is: new("open to everybody (*)")})
			}
			values = append(values,
				value{key: at + ".dmPolicy", is: ch.DMPolicy, unset: "pairing"}, value{key: at + ".groupPolicy", is: ch.GroupPolicy, unset: group})
		}
	}
	if len(values) == 0 {
		return notApplicable("no channel is switched on in openclaw.json")
	}
	return closed(values, "pairing", "allowlist", "disabled")
}

func plugins(_ *Facts, c *openclaw.Config) Result {
	switch {
	case c.Plugins.Enabled != nil && !*c.Plugins.Enabled:
		return pass("plugins.enabled is false")
	case len(c.Plugins.Allow) > 0:
		return pass("plugins.allow lists what may load")
	}
	return fail("plugins.allow is empty: what is found loads by itself")
}
