package event

// States of an agent's kill switch, as [KillSwitch.State] gives them.
const (
	SwitchArmed    = "armed"    // not stopped
	SwitchDryRun   = "dry_run"  // would have been stopped, were autoEnabled true
	SwitchWithheld = "withheld" // would have been stopped, but something speaks against it
	SwitchTripped  = "tripped"  // stopped until a person resumes it, or its time is over
)

// Scopes of a decision beyond one agent, as [KillSwitch.Scope] gives them.
const (
	ScopeGateway = "gateway" // all agents of a gateway
	ScopeGlobal  = "global"  // all agents there are
)

// EveryAgent stands for all agents where else [Agent.Key] stands. No agent can
// be called so.
const EveryAgent = "*"

// SwitchKey names whom a kill-switch event is about: [EveryAgent] or its agent's
// [Agent.Key].
func (e *Event) SwitchKey() string {
	if e.KillSwitch != nil && e.KillSwitch.Scope == ScopeGlobal {
		return EveryAgent
	}
	return e.Agent.Key()
}
