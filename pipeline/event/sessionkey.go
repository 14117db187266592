package event

import "strings"

// maxAgentID bounds an agent id, in bytes; OpenClaw's own bound is 64.
const maxAgentID = 128

// AgentOfSessionKey gives the agent that an OpenClaw session key or the label
// of a sandbox container names: "research" for "agent:research:main",
// "agent:research:subagent:<uuid>" and "agent:research:workspace:<hex>". Keys of
// cron jobs and webhooks ("cron:…", "hook:…") name none, nor does one whose id
// is not a [ValidAgentID]: "".
func AgentOfSessionKey(key string) (agent string) {
	rest, ok := strings.CutPrefix(key, "agent:")
	if !ok {
		return ""
	}
	agent, _, _ = strings.Cut(rest, ":")
	if !ValidAgentID(agent) {
		return ""
	}
	return agent
}

// ValidAgentID says whether id can name an agent: 1 to 128 ASCII letters,
// digits and ". _ - @", not starting with a dot and without "..", so that it is
// safe in file names, keys and session keys.
func ValidAgentID(id string) bool {
	if id == "" || len(id) > maxAgentID || id[0] == '.' || strings.Contains(id, "..") {
		return false
	}
	for i := range len(id) {
		switch b := id[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case b == '.', b == '_', b == '-', b == '@':
		default:
			return false
		}
	}
	return true
}
