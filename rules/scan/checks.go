package scan

import (
	"fmt"
	"slices"
)

// Status is the outcome of a check.
type Status string

// Outcomes. What could not be looked at is unknown and never a pass.
const (
	Pass          Status = "pass"
	Fail          Status = "fail"
	NotKnown      Status = "unknown"
	NotApplicable Status = "not_applicable"
)

// Severity is how bad it is that a check fails.
type Severity string

// Severities, the worst first in [Severities].
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
)

// Severities lists all, the worst first.
var Severities = []Severity{Critical, High, Medium, Low}

// AtLeast says whether s is as bad as other or worse.
func (s Severity) AtLeast(other Severity) bool {
	return slices.Index(Severities, s) <= slices.Index(Severities, other)
}

// maxEvidence bounds what is told of one check.
const maxEvidence = 20

// Result of a check.
type Result struct {
	Status Status
	// Evidence says what was seen, one clause each, at most 21; or why nothing could
	// be. Names from outside in it are quoted where they hold what a terminal obeys.
	Evidence []string
}

func pass(evidence ...string) Result          { return Result{Pass, evidence} }
func unknown(evidence ...string) Result       { return Result{NotKnown, evidence} }
func notApplicable(evidence ...string) Result { return Result{NotApplicable, evidence} }

// fail cuts what is more than a reader wants to see.
func fail(evidence ...string) Result { return Result{Fail, short(evidence)} }

func short(evidence []string) []string {
	if n := len(evidence) - maxEvidence; n > 0 {
		return append(slices.Clone(evidence[:maxEvidence]), fmt.Sprintf("and %d more", n))
	}
	return evidence
}

// failIf fails with the evidence if there is any, and passes otherwise.
func failIf(evidence []string, passed string) Result {
	if len(evidence) > 0 {
		return fail(evidence...)
	}
	return pass(passed)
}

// Check is one question that a scan asks.
type Check struct {
	ID       string
	Title    string
	Severity Severity
	// Remedy is what to do when it fails, a sentence.
	Remedy string
	look   func(*Facts) Result
}

// Look answers the question. It changes nothing in the facts.
func (c Check) Look(f *Facts) Result { return c.look(f) }

// Checks lists all checks in the order of their ids. An id is never used again
// for another question.
var Checks = []Check{
	{"G0-AUD-001", "auditd's rules are loaded", Medium, "Copy g0-openclaw.rules to /etc/audit/rules.d/ and run augenrules --load.", auditLoaded},
	{"G0-AUD-002", "Tetragon or Falco runs with g0's rules", High, "Start docker-compose.tetragon.yml or docker-compose.falco.yml, or copy their rules to where yours are read.", sensorRuns},
	{"G0-AUD-003", "An egress policy is in force", High, "Run g0-openclaw-egress.sh, at each start of the machine and after each restart of Docker.", egressInForce},
	{"G0-AUD-004", "No agent sees a container runtime's socket", Critical, "Take the socket out of the container's mounts: who can write to it is root on the host.", socketNotMounted},
	{"G0-AUD-005", "No agent runs as root", High, "Set user: in compose, or USER in the image, to a uid of the agent's own.", notRoot},
	{"G0-AUD-006", "The gateway listens on loopback only", Critical, "Set gateway.bind to loopback, and reach it through a tunnel or a proxy with authentication.", loopbackOnly},
	{"G0-AUD-007", "gateway.bind is set where the gateway runs in a container", High, "Set gateway.bind: in a container OpenClaw takes every address (0.0.0.0) when it is unset.", bindIsSet},
	{"G0-AUD-008", "The gateway asks for authentication", Critical, "Set gateway.auth.mode to token or password.", authAsked},
	{"G0-AUD-009", "Session files are closed to other agents", High, "Give each agent a uid of its own or a sandbox, and its folders mode 0700.", sessionsClosed},
	{"G0-AUD-010", "Credential files are closed to other agents", High, "Give each agent a uid of its own or a sandbox, and credential files mode 0600.", credentialsClosed},
	{"G0-AUD-011", "Files that are read into the prompt are as they were", Medium, "Read what changed; if it was meant, the next scan takes it as known.", cognitiveAsBefore},
	{"G0-AUD-012", "No secret is in the files of two agents", High, "Give each agent a key of its own, so that one can be revoked without the others.", secretsApart},
	{"G0-AUD-013", "models.json holds no key", High, "Move the key to a secret reference or a variable, delete it from models.json and make a new one.", noKeysInModels},
	{"G0-AUD-014", "No transcripts are left over from an upgrade", Medium, "Delete session-sqlite-import-archive and *.migrated once the upgrade is known to be good.", noLeftovers},
	{"G0-AUD-015", "Agents may not run every command", High, "Set tools.exec.security to allowlist or deny (or tools.exec.mode to allowlist, ask or deny).", execLimited},
	{"G0-AUD-016", "Somebody is asked before a command runs", Medium, "Set tools.exec.ask to on-miss or always (or tools.exec.mode to ask).", execAsks},
	{"G0-AUD-017", "Agents' tools run in a sandbox", High, "Set agents.defaults.sandbox.mode to all.", sandboxed},
	{"G0-AUD-018", "Elevated tools are off", High, "Set tools.elevated.enabled to false.", elevatedOff},
	{"G0-AUD-019", "Agents may not talk to each other", Medium, "Set tools.agentToAgent.enabled to false, or list in allow who may.", agentToAgentOff},
	{"G0-AUD-020", "Agents see their own sessions only", Medium, "Set tools.sessions.visibility to self or tree.", sessionsHidden},
	{"G0-AUD-021", "Commands of agents do not inherit the gateway's token", High, "Put the token into openclaw.json (gateway.auth.token) and not into the gateway's environment.", tokenNotInherited},
	{"G0-AUD-022", "Strangers cannot write to agents", High, "Set the channel's dmPolicy to pairing or allowlist, and its groupPolicy to allowlist or disabled.", channelsClosed},
	{"G0-AUD-023", "Only plugins that are listed are loaded", Medium, "List the plugins you use in plugins.allow: while it is empty all that are found load by themselves.", pluginsListed},
	{"G0-AUD-024", "The kernel can refuse an act before it happens", Medium, "Add bpf to the lsm= parameter of the kernel's command line: without it enforcing kills after the act.", lsmReady},
	{"G0-AUD-025", "Agents have connections to allowed addresses only", High, "See what the agent does there; then add the address to egress.allow, or stop the agent.", connectionsAllowed},
}
