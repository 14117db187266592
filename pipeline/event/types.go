package event

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Types of events. The names are those of the OpenClaw plugin where it has one;
// "injection-detected" is read as "injection.detected".
const (
	// What an agent's plugin reports.
	TypeInjectionDetected  = "injection.detected"   // hidden instructions were found in what an agent reads or does
	TypeToolBlocked        = "tool.blocked"         // a tool call was refused
	TypeToolExecuted       = "tool.executed"        // a tool was called
	TypeToolResult         = "tool.result"          // a tool call ended; no proof that it ran
	TypePIIRedacted        = "pii.redacted"         // personal data was taken out
	TypePIIDetected        = "pii.detected"         // personal data was seen
	TypePIIBlockedOutbound = "pii.blocked_outbound" // a message with personal data was held back
	TypeMessageBlocked     = "message.blocked"      // a message was refused
	TypeSecurityGate       = "security.gate"        // the plugin judged a command or a file
	TypeSubagentSpawning   = "subagent.spawning"    // a sub-agent is about to start
	TypeSubagentSpawned    = "subagent.spawned"     // a sub-agent started
	TypeSubagentBlocked    = "subagent.blocked"     // a sub-agent was refused
	TypeSubagentEnded      = "subagent.ended"       // a sub-agent ended
	TypeSessionStart       = "session.start"        // a session began
	TypeSessionEnd         = "session.end"          // a session ended
	TypeAgentEnd           = "agent.end"            // an agent ended a turn
	TypeGatewayStart       = "gateway.start"        // a gateway started
	TypeGatewayStop        = "gateway.stop"         // a gateway stopped
	TypeLLMInput           = "llm.input"            // a model was asked
	TypeLLMOutput          = "llm.output"           // a model answered
	TypeError              = "error"                // in the plugin's list, never seen from one
	TypeRequest            = "request"              // as error
	TypeResponse           = "response"             // as error

	// What the g0-openclaw-* policies and g0_openclaw_* rules report.
	TypeEgressUnexpected    = "egress.unexpected"     // a connection to where the agent has no business
	TypeCrossAccess         = "agent.cross_access"    // a file of another agent was touched
	TypeDockerSocketAccess  = "docker.socket_access"  // the Docker socket was used: who has it owns the host
	TypeBinarySensitive     = "binary.sensitive"      // a program was run that attackers like, such as curl or nc
	TypeCredentialAccess    = "credential.access"     // a file of keys or tokens was read
	TypeLogTampering        = "log.tampering"         // a log was deleted, emptied or renamed
	TypeSessionAccess       = "session.access"        // a transcript was read
	TypeContainerRoot       = "container.root"        // a process in a container runs as root
	TypeGatewayExternalBind = "gateway.external_bind" // the gateway listens for other machines
	TypeCognitiveModified   = "cognitive.modified"    // a file that instructs the agent was changed: SOUL.md, MEMORY.md ...
	TypeCodeModified        = "code.modified"         // a file that OpenClaw runs or applies was changed: a skill, a shell snapshot, openclaw.json ...

	// What the container runtime reports.
	TypeContainerCreated = "container.created" // a container was made and does not run yet
	TypeContainerStarted = "container.started" // a container runs, or ran when g0 began to watch; again when its name or address changed
	TypeContainerStopped = "container.stopped" // a container ended

	// What else the kernel's sensors report.
	TypeProcessExec   = "process.exec"   // a program was started
	TypeProcessExit   = "process.exit"   // a process ended
	TypeProcessLoader = "process.loader" // a library was loaded
	TypeKernelProbe   = "kernel.probe"   // kprobe, tracepoint, uprobe or LSM hook of a policy that is not ours
	TypeFalcoAlert    = "falco.alert"    // a Falco rule that is not ours
	TypeFalcoMetrics  = "falco.metrics"  // Falco's own figures

	// What g0 itself says.
	TypeIdentityConflict    = "identity.conflict"           // a sender claims to be another agent than the evidence says
	TypeCoverageLost        = "coverage.lost"               // g0 is or was blind somewhere
	TypeCoverageRestored    = "coverage.restored"           // and sees again
	TypeThreat              = "threat"                      // threat.NAME: a correlation rule matched; NAME is its type
	TypeKillSwitchTripped   = "killswitch.tripped"          // an agent must stop; in a dry run it would have to
	TypeKillSwitchWithheld  = "killswitch.withheld"         // an agent would be stopped, but something speaks against it
	TypeKillSwitchResumed   = "killswitch.resumed"          // a person let an agent go on
	TypeKillSwitchAction    = "killswitch.action"           // what came of stopping or resuming it
	TypeKillSwitchStopAsked = "killswitch.stop_requested"   // a person asks to stop an agent
	TypeKillSwitchResumeAsk = "killswitch.resume_requested" // a person asks to let it go on
	TypeBaselineFirstSeen   = "baseline.first_seen"         // an agent did what it never did while it was learned
	TypeBaselineRate        = "baseline.rate"               // an agent does something far more often than it used to
	TypeBaselineActive      = "baseline.active"             // enough was learned of an agent: what is new is told from now on
	TypeBaselineAlert       = "baseline.alert"              // a threat or a stop, told to the baseline, which comes before the stages that find them
	TypeBaselineImportAsk   = "baseline.import_requested"   // a person, or the store, brings an agent's baseline
	TypeBaselineFreezeAsk   = "baseline.freeze_requested"   // a person ends an agent's learning, or lets it go on
	TypeBaselineResetAsk    = "baseline.reset_requested"    // a person wants an agent's baseline forgotten
	TypeRulesGenerated      = "rules.generated"             // the sensors' files were written again, since the deployment changed
	TypeRulesFailed         = "rules.failed"                // they could not be: what is in force is of an earlier deployment
	TypeDriftDetected       = "drift.detected"              // a scan found what the one before did not; data.kind says in which way
	TypeDriftScanned        = "drift.scanned"               // a scan of the deployment ended
	TypeTimer               = "timer.fired"                 // time has passed, for stages that wait
)

// Severity grades an event. The zero value is SeverityNone.
type Severity uint8

// The severities in rising order.
const (
	SeverityNone Severity = iota
	SeverityInfo
	SeverityLow
	SeverityMedium
	SeverityHigh
	SeverityCritical
)

var severityNames = [...]string{"", "info", "low", "medium", "high", "critical"}

// String gives the lower-case name; "" for SeverityNone.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("severity(%d)", uint8(s))
}

// MarshalText writes the name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name in any case; an unknown one is an error.
func (s *Severity) UnmarshalText(b []byte) error {
	i := slices.Index(severityNames[:], strings.ToLower(string(b)))
	if i < 0 {
		return fmt.Errorf("severity %q is none of info, low, medium, high, critical", b)
	}
	*s = Severity(i)
	return nil
}

// typeInfo is what g0 knows of a type: the one place where a type's severity
// and its being a security event are said.
type typeInfo struct {
	severity Severity
	security bool
}

var types = map[string]typeInfo{
	TypeInjectionDetected:  {SeverityHigh, true},
	TypeToolBlocked:        {SeverityMedium, true},
	TypePIIRedacted:        {SeverityLow, true},
	TypePIIDetected:        {SeverityMedium, true},
	TypePIIBlockedOutbound: {SeverityHigh, true},
	TypeMessageBlocked:     {SeverityMedium, true},
	TypeSubagentBlocked:    {SeverityMedium, true},

	TypeEgressUnexpected:    {SeverityHigh, true},
	TypeCrossAccess:         {SeverityHigh, true},
	TypeDockerSocketAccess:  {SeverityCritical, true},
	TypeBinarySensitive:     {SeverityMedium, true},
	TypeCredentialAccess:    {SeverityHigh, true},
	TypeLogTampering:        {SeverityHigh, true},
	TypeSessionAccess:       {SeverityMedium, true},
	TypeContainerRoot:       {SeverityMedium, true},
	TypeGatewayExternalBind: {SeverityHigh, true},
	TypeCognitiveModified:   {SeverityHigh, true},
	TypeCodeModified:        {SeverityHigh, true},

	TypeIdentityConflict:    {SeverityMedium, true},
	TypeCoverageLost:        {SeverityHigh, true},
	TypeCoverageRestored:    {SeverityInfo, false},
	TypeKillSwitchTripped:   {SeverityCritical, true},
	TypeKillSwitchWithheld:  {SeverityHigh, true},
	TypeKillSwitchResumed:   {SeverityHigh, true},
	TypeKillSwitchAction:    {SeverityHigh, true},
	TypeRulesGenerated:      {SeverityInfo, false},
	TypeRulesFailed:         {SeverityHigh, true},
	TypeDriftDetected:       {SeverityMedium, true},
	TypeDriftScanned:        {SeverityInfo, false},
	TypeKillSwitchStopAsked: {SeverityInfo, false},
	TypeKillSwitchResumeAsk: {SeverityInfo, false},

	TypeToolExecuted:     {SeverityInfo, false},
	TypeToolResult:       {SeverityInfo, false},
	TypeSecurityGate:     {SeverityInfo, false},
	TypeSubagentSpawning: {SeverityInfo, false},
	TypeSubagentSpawned:  {SeverityInfo, false},
	TypeSubagentEnded:    {SeverityInfo, false},
	TypeSessionStart:     {SeverityInfo, false},
	TypeSessionEnd:       {SeverityInfo, false},
	TypeAgentEnd:         {SeverityInfo, false},
	TypeGatewayStart:     {SeverityInfo, false},
	TypeGatewayStop:      {SeverityInfo, false},
	TypeLLMInput:         {SeverityInfo, false},
	TypeLLMOutput:        {SeverityInfo, false},
	TypeError:            {SeverityInfo, false},
	TypeRequest:          {SeverityInfo, false},
	TypeResponse:         {SeverityInfo, false},
	TypeProcessExec:      {SeverityInfo, false},
	TypeProcessExit:      {SeverityInfo, false},
	TypeProcessLoader:    {SeverityInfo, false},
	TypeKernelProbe:      {SeverityLow, false},
	TypeFalcoAlert:       {SeverityLow, false},
	TypeFalcoMetrics:     {SeverityInfo, false},
	TypeContainerCreated: {SeverityInfo, false},
	TypeContainerStarted: {SeverityInfo, false},
	TypeContainerStopped: {SeverityInfo, false},
	TypeTimer:            {SeverityInfo, false},

	TypeBaselineFirstSeen: {SeverityLow, false},
	TypeBaselineRate:      {SeverityMedium, false},
	TypeBaselineActive:    {SeverityInfo, false},
	TypeBaselineAlert:     {SeverityInfo, false},
	TypeBaselineImportAsk: {SeverityInfo, false},
	TypeBaselineFreezeAsk: {SeverityInfo, false},
	TypeBaselineResetAsk:  {SeverityInfo, false},
}

// SeverityOf gives the severity of a type by itself; SeverityInfo for a type
// that g0 does not know.
func SeverityOf(typ string) Severity {
	if t, ok := types[typ]; ok {
		return t.severity
	}
	return SeverityInfo
}

// Known says whether g0 knows the type. Events of other types are accepted.
func Known(typ string) bool {
	_, ok := types[typ]
	return ok || strings.HasPrefix(typ, TypeThreat+".")
}

// Security says whether a type is security-relevant: logged at WARN, given the
// reserved room of the intake, open to notification.
func Security(typ string) bool {
	return types[typ].security || strings.HasPrefix(typ, TypeThreat+".")
}

// SecurityTypes lists the known security types, sorted, without threats.
func SecurityTypes() []string {
	var out []string
	for name, t := range types {
		if t.security {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// reserved are the first words of types that only g0 itself may give.
var reserved = []string{"threat", "killswitch", "coverage", "identity", "baseline", "rules", "drift", "timer", "g0"}

// ErrReserved is the error about a record whose type is [Reserved].
var ErrReserved = errors.New("is for g0 itself")

// Reserved says whether a type belongs to g0 alone: a sender who uses it is
// refused, since it would speak in g0's name.
func Reserved(typ string) bool {
	switch typ {
	case TypeContainerCreated, TypeContainerStarted, TypeContainerStopped: // else a sender would say who is who
		return true
	}
	first, _, _ := strings.Cut(typ, ".")
	return slices.Contains(reserved, first)
}
