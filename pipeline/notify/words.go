package notify

import (
	"strings"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// phrases say in words what a type means; the type itself is shown for others.
var phrases = map[string]string{
	event.TypeInjectionDetected:   "prompt injection detected",
	event.TypeToolBlocked:         "tool call blocked",
	event.TypePIIRedacted:         "personal data redacted",
	event.TypePIIDetected:         "personal data detected",
	event.TypePIIBlockedOutbound:  "personal data on its way out blocked",
	event.TypeMessageBlocked:      "message blocked",
	event.TypeSubagentBlocked:     "sub-agent blocked",
	event.TypeEgressUnexpected:    "connection to a destination that is not allowed",
	event.TypeCrossAccess:         "access to another agent's data",
	event.TypeDockerSocketAccess:  "access to the Docker socket",
	event.TypeBinarySensitive:     "sensitive binary started",
	event.TypeCredentialAccess:    "access to credentials",
	event.TypeLogTampering:        "logs tampered with",
	event.TypeSessionAccess:       "access to session transcripts",
	event.TypeContainerRoot:       "container runs as root",
	event.TypeGatewayExternalBind: "gateway listens on an external address",
	event.TypeCognitiveModified:   "a file that instructs it was changed",
	event.TypeCodeModified:        "a file that OpenClaw runs or applies was changed",
	event.TypeIdentityConflict:    "claims to be another agent",
	event.TypeRulesFailed:         "the sensors' files are not up to date",
	event.TypeRulesGenerated:      "the sensors' files were written again",
	event.TypeDriftDetected:       "the deployment has drifted",
	event.TypeDriftScanned:        "the deployment was scanned",
	event.TypeBaselineFirstSeen:   "did what it never did before",
	event.TypeBaselineRate:        "does something far more often than it used to",
	event.TypeBaselineActive:      "is known by now: what is new is told",
}

var evidenceWords = map[event.Evidence]string{
	event.ByKernel: "seen by the kernel",
	event.ByToken:  "by its token",
	event.ByPeer:   "by its address",
	event.ByClaim:  "by its own claim only",
}

var actionWords = map[event.Action]string{
	event.ActionObserved: "observed only",
	event.ActionDenied:   "denied",
	event.ActionKilled:   "process killed by the kernel",
}

func titleOf(sev event.Severity, ev *event.Event) string {
	return title(sev, who(ev), what(ev))
}

func title(sev event.Severity, who, what string) string {
	return event.Clean("["+strings.ToUpper(sev.String())+"] "+who+": "+what, maxTitle)
}

// who names the narrowest thing that is known of the actor.
func who(ev *event.Event) string {
	switch {
	case ev.Coverage != nil:
		return "g0"
	case ev.SwitchKey() == event.EveryAgent:
		return "all agents"
	}
	for _, name := range []string{ev.Agent.Key(), ev.Container.Name, ev.Container.ID, ev.Host} {
		if name != "" {
			return event.Clean(name, 64)
		}
	}
	return "unknown agent"
}

// what says what happened in a few words.
func what(ev *event.Event) string {
	switch {
	case ev.Threat != nil:
		return ev.Threat.Title + " (" + ev.Threat.Rule + ")"
	case ev.KillSwitch != nil:
		return killSwitchPhrase(ev)
	case ev.Coverage != nil && ev.Type == event.TypeCoverageRestored:
		return "sight is back: " + ev.Coverage.What + ", " + ev.Coverage.Reason
	case ev.Coverage != nil:
		return "blind spot: " + ev.Coverage.What + ", " + ev.Coverage.Reason
	case ev.Type == event.TypeFalcoAlert && ev.Rule != "":
		return "Falco: " + ev.Rule
	}
	if phrase, ok := phrases[ev.Type]; ok {
		return phrase
	}
	return ev.Type
}

func killSwitchPhrase(ev *event.Event) string {
	k := ev.KillSwitch
	switch {
	case ev.Type == event.TypeKillSwitchAction:
		return actionPhrase(k)
	case ev.Type == event.TypeKillSwitchResumed:
		return "resumed after the kill switch"
	case k.State == event.SwitchDryRun:
		return "kill switch would stop it (dry run)"
	case k.State == event.SwitchWithheld:
		return "stop withheld, a person must decide"
	case ev.Type == event.TypeKillSwitchWithheld:
		return "stays stopped by the kill switch"
	}
	return "stopped by the kill switch"
}

// actionPhrase says what came of one action of a stop or a resume.
func actionPhrase(k *event.KillSwitch) string {
	what := "stop"
	if k.State == event.SwitchArmed {
		what = "resume"
	}
	switch {
	case k.Error != "":
		return what + " not carried out (" + k.Action + ")"
	case k.Verified:
		return what + " carried out and verified (" + k.Action + ")"
	}
	return what + " carried out, not verified (" + k.Action + ")"
}
