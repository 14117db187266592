package event

// What a Tetragon policy asked the kernel to do, as [Event].Asked has it.
const (
	AskedSigkill  = "sigkill"
	AskedOverride = "override"
)

// Modes of a Tetragon policy, as [Origin].PolicyMode has them.
const (
	ModeEnforce = "enforce"
	ModeMonitor = "monitor"
)

// SettleAction sets Action from what the policy asked for and the mode that it
// is in: [ModeEnforce], [ModeMonitor], or "" for not known. The record itself
// does not tell: a policy in monitor mode reports SIGKILL like one that kills.
// So killed is said only in enforce mode, denied in any but monitor mode (an
// LSM hook's Override was always carried out where it was seen). An event of
// which nothing was asked stays as it is.
func (e *Event) SettleAction(mode string) {
	switch {
	case e.Asked == "":
	case mode == ModeMonitor:
		e.Action = ActionObserved
	case e.Asked == AskedOverride:
		e.Action = ActionDenied
	case e.Asked == AskedSigkill && mode == ModeEnforce:
		e.Action = ActionKilled
	default:
		e.Action = ActionObserved
	}
}
