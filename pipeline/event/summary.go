package event

import (
	"cmp"
	"net"
	"strconv"
	"strings"
)

// maxSummary bounds a summary, in runes.
const maxSummary = 200

// Summary tells in one short sentence what happened, for time-lines and alerts:
// "read of /data/.openclaw/.env by /bin/cat". It has at most 200 runes, stands
// on one line and is safe on a terminal (see [Clean]). Attacker text may be in
// it: a format with mark-up must escape it.
func (e *Event) Summary() string {
	var s string
	switch e.Source {
	case SourceOpenClaw:
		s = e.pluginSummary()
	case SourceG0:
		s = e.ownSummary()
	case SourceDocker:
		s = e.typeInWords() + colon(cmp.Or(e.Container.Name, e.Container.ID))
	default:
		s = e.sensorSummary()
	}
	switch {
	case e.Action == ActionKilled:
		s += ", killed"
	case e.Action == ActionDenied && e.Source != SourceOpenClaw: // there the type says so
		s += ", denied"
	}
	return Clean(cmp.Or(s, e.typeInWords()), maxSummary)
}

// pluginSummary is about what an agent's plugin reports.
func (e *Event) pluginSummary() string {
	switch e.Type {
	case TypeToolExecuted:
		return e.toolName() + colon(e.commandOrParams())
	case TypeToolResult:
		if e.Tool != nil && e.Tool.Error != "" {
			return e.toolName() + " gave an error: " + e.Tool.Error
		}
		return e.toolName() + " finished"
	case TypeToolBlocked:
		return e.toolName() + " blocked" + colon(e.Message)
	case TypeInjectionDetected:
		return "injection in " + e.place() + e.phase()
	case TypePIIDetected:
		return "personal data in " + e.place() + e.phase()
	case TypePIIRedacted:
		return "personal data redacted in " + e.place() + e.phase()
	case TypePIIBlockedOutbound:
		return "message with personal data blocked" + e.phase()
	case TypeMessageBlocked:
		return "message blocked" + colon(e.Message)
	case TypeSecurityGate:
		return "security gate" + space(e.datum("status")) + colon(e.commandOrParams())
	case TypeSubagentSpawning, TypeSubagentSpawned, TypeSubagentBlocked:
		_, what, _ := strings.Cut(e.Type, ".")
		return "sub-agent" + space(e.datum("childAgentId")) + " " + what + colon(e.Message)
	case TypeSubagentEnded:
		return "sub-agent ended" + colon(e.datum("outcome"))
	default:
		return e.typeInWords() + colon(e.Message)
	}
}

// sensorSummary is about what Tetragon and Falco report.
func (e *Event) sensorSummary() string {
	switch e.Type {
	case TypeProcessExec:
		return "exec: " + e.Process.commandLine()
	case TypeProcessExit:
		return "exit: " + e.Process.exe() + e.exitStatus()
	case TypeProcessLoader:
		return "load" + e.object() + e.by()
	case TypeEgressUnexpected:
		return "egress" + e.object() + e.by()
	case TypeContainerRoot:
		return "root process " + e.Process.commandLine() + in(e.Container)
	case TypeGatewayExternalBind:
		return "gateway bound" + e.object() + e.by()
	case TypeCoverageLost, TypeCoverageRestored:
		return e.ownSummary()
	case TypeFalcoAlert, TypeFalcoMetrics:
		return e.Rule + colon(e.Message)
	case TypeKernelProbe:
		return e.Hook + e.object() + e.by() + colon(e.Message)
	default:
		if e.File == nil && e.Network == nil {
			return e.typeInWords() + e.by() + colon(e.Message)
		}
		return e.verb() + e.object() + e.by()
	}
}

// ownSummary is about what g0 itself says.
func (e *Event) ownSummary() string {
	switch {
	case e.Coverage != nil:
		c, what := e.Coverage, "blind: "
		if e.Type == TypeCoverageRestored {
			what = "sees again: "
		}
		s := what + c.What + ", " + c.Reason
		if c.Count > 0 {
			s += ", " + strconv.FormatUint(c.Count, 10) + " event"
			if c.Count > 1 {
				s += "s"
			}
			s += " lost"
		}
		return s + colon(c.Detail)
	case e.Threat != nil:
		return e.Threat.Rule + " " + e.Threat.Title + colon(e.Threat.Narrative)
	case e.KillSwitch != nil:
		return e.killSwitchSummary()
	case e.Baseline != nil && e.Type == TypeBaselineFirstSeen:
		return "new " + e.Baseline.Feature + colon(e.Baseline.Item)
	case e.Type == TypeDriftDetected:
		return "drift, " + typeWords.Replace(strings.ReplaceAll(e.datum("kind"), "-", " ")) + colon(e.Message)
	case e.Type == TypeIdentityConflict:
		return "claims to be " + e.Agent.Claim + ", is " + e.Agent.Key() + colon(e.Message)
	default:
		return e.typeInWords() + colon(e.Message)
	}
}

func (e *Event) killSwitchSummary() string {
	k := e.KillSwitch
	if e.Type == TypeKillSwitchAction {
		return e.killSwitchAction()
	}
	by := ""
	if k.Actor != "" {
		by = " by " + k.Actor
	}
	why := by + colon(cmp.Or(k.Reason, k.Rule)) // the reason names what the rule counts
	switch {
	case e.Type == TypeKillSwitchStopAsked:
		return "stop asked for" + why
	case e.Type == TypeKillSwitchResumeAsk:
		return "resume asked for" + why
	case e.Type == TypeKillSwitchResumed:
		return "resumed" + why
	case k.State == SwitchWithheld:
		return "stop withheld" + why
	case e.Type == TypeKillSwitchWithheld:
		return "resume withheld" + why
	case k.State == SwitchDryRun:
		return "would be stopped" + why
	}
	return "stopped" + why
}

// killSwitchAction is about what came of one action of a stop or a resume.
func (e *Event) killSwitchAction() string {
	k, what := e.KillSwitch, "stop"
	if k.State == SwitchArmed {
		what = "resume"
	}
	switch {
	case k.Error != "":
		return what + " not carried out (" + k.Action + ")" + colon(k.Error)
	case k.Verified:
		return what + " carried out and verified (" + k.Action + ")"
	}
	return what + " carried out, not verified (" + k.Action + ")"
}

var typeWords = strings.NewReplacer(".", " ", "_", " ")

// typeInWords is the type without its punctuation, "session start".
func (e *Event) typeInWords() string {
	return typeWords.Replace(e.Type)
}

func (e *Event) toolName() string {
	if e.Tool == nil || e.Tool.Name == "" {
		return "tool"
	}
	return "tool " + e.Tool.Name
}

func (e *Event) commandOrParams() string {
	if e.Tool != nil && e.Tool.Command != "" {
		return e.Tool.Command
	}
	return e.datum("params")
}

// place says where a text was looked at.
func (e *Event) place() string {
	if e.Tool != nil && e.Tool.Name != "" {
		return "tool " + e.Tool.Name
	}
	if strings.HasPrefix(e.datum("phase"), "llm_") {
		return "model text"
	}
	return "message"
}

func (e *Event) phase() string {
	if phase := e.datum("phase"); phase != "" {
		return " (phase " + phase + ")"
	}
	return ""
}

// datum gives a member of Data: a string's text, other values as they stand.
func (e *Event) datum(name string) string {
	c := cursor{b: e.Data}
	for key := range c.members {
		if string(key) != name {
			continue
		}
		if c.kind() == '"' {
			return c.textIfAny()
		}
		return string(c.value())
	}
	return ""
}

func (e *Event) exitStatus() string {
	switch {
	case e.Process == nil:
		return ""
	case e.Process.Signal != "":
		return ", " + e.Process.Signal
	default:
		return ", status " + strconv.FormatUint(uint64(e.Process.Status), 10)
	}
}

// verb is what was done to a file or connection, "read of".
func (e *Event) verb() string {
	switch {
	case e.File == nil:
		return "connect"
	case e.File.Op == "":
		return "access"
	default:
		return e.File.Op
	}
}

// object is what was acted on, with the word before it.
func (e *Event) object() string {
	switch f, n := e.File, e.Network; {
	case f != nil && f.Op == "connect":
		return " to " + f.Path
	case f != nil && f.NewPath != "":
		return " of " + f.Path + " to " + f.NewPath
	case f != nil:
		return " of " + f.Path
	case n != nil && n.DstIP.IsValid():
		return " to " + hostPort(n.DstIP.String(), n.DstPort)
	case n != nil && n.Domain != "":
		return " to " + hostPort(n.Domain, n.DstPort)
	case n != nil && n.SrcIP.IsValid():
		return " to " + hostPort(n.SrcIP.String(), n.SrcPort)
	default:
		return ""
	}
}

func hostPort(host string, port uint16) string {
	if port == 0 {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// by names the program that acted.
func (e *Event) by() string {
	if e.Process == nil || e.Process.Exe == "" {
		return ""
	}
	return " by " + e.Process.Exe
}

func (p *Process) exe() string {
	if p == nil {
		return ""
	}
	return p.Exe
}

// commandLine is the command that was asked for, else program and arguments.
func (p *Process) commandLine() string {
	switch {
	case p == nil:
		return ""
	case p.Command != "":
		return p.Command
	default:
		return p.Exe + space(strings.TrimPrefix(p.Args, " "))
	}
}

func in(c Container) string {
	switch {
	case c.Name != "":
		return " in " + c.Name
	case c.ID != "":
		return " in " + c.ID[:min(12, len(c.ID))]
	default:
		return ""
	}
}

func colon(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

func space(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}
