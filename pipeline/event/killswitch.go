package event

// States of an agent's kill switch, as [KillSwitch.State] gives them.
const (
	SwitchArmed    = "armed"    // not stopped
	SwitchDryRun   = "dry_run"  // would have been stopped, were autoEnabled true
	SwitchWithheld = "withheld" // would have been stopped, but something speaks against it
	SwitchTripped  = "tripped"  // stopped until a person resumes it
)
