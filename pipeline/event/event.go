// Package event holds the one type that travels through g0, from the parsers
// to the notifier, and the pure functions that make it out of what each source
// sends. It knows nothing of Benthos, HTTP, Redis or the kernel.
package event

import (
	"net/netip"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// SchemaVersion is the value of the JSON key "schema". It grows when a key
// changes its meaning or goes away; new keys do not change it.
const SchemaVersion = 1

// Event is one thing that happened, as g0 knows it. The zero value is an event
// about which nothing is known. An Event is written by one goroutine; after it
// was handed on it must be treated as read-only, except by the stage that holds
// it. Strings and byte slices belong to the Event: parsers copy what they keep.
//
// The JSON form (see [Event.AppendJSON] and [Decode]) has one key a field; keys
// of unknown values are left out.
type Event struct {
	// Schema is [SchemaVersion] in every event that this package makes.
	Schema int `json:"schema"`
	// ID names the event for ever: a ULID given at intake, or for a derived
	// event the ID of its cause followed by "-" and what derived it. A replay of
	// the journal gives the same IDs.
	ID string `json:"id,omitzero"`
	// Seq is the place in the journal, counted from 1. 0: not journalled.
	// Derived events carry the Seq of their cause.
	Seq uint64 `json:"seq,omitzero"`
	// Source is the kind of program that reported it. A sender cannot choose it.
	Source Source `json:"source,omitzero"`
	// Sender is what the sender calls itself (OpenClaw plugin: the body's
	// "source"; Falco: "falco" or "falcosidekick"). A claim.
	Sender string `json:"sender,omitzero"`
	// Type says what happened, "injection.detected". See types.go.
	Type string `json:"type,omitzero"`
	// Time is the source's clock. Zero where it gave none or one that cannot be
	// read. It may be wrong (1970, the future): windows use Received.
	Time time.Time `json:"time,omitzero"`
	// Received is the sidecar's clock at intake; journalled, so a replay sees
	// the same.
	Received time.Time `json:"received,omitzero"`
	// Severity is how grave it is by itself.
	Severity Severity `json:"severity,omitzero"`
	// Agent says who did it and how g0 knows.
	Agent Agent `json:"agent,omitzero"`
	// Session of the agent, where the source names one.
	Session Session `json:"session,omitzero"`
	// Container it happened in. Zero: on the host, or not known.
	Container Container `json:"container,omitzero"`
	// Labels of the container or pod, as Docker or Kubernetes have them; under
	// "@workload" the name of the pod's workload. At most 129.
	Labels map[string]string `json:"labels,omitzero"`
	// Host is the node's name as the source gives it.
	Host string `json:"host,omitzero"`
	// Process that acted; nil where the source does not see processes.
	Process *Process `json:"process,omitzero"`
	// File acted on.
	File *File `json:"file,omitzero"`
	// Network endpoint acted on.
	Network *Network `json:"network,omitzero"`
	// Tool of the agent.
	Tool *Tool `json:"tool,omitzero"`
	// Rule is the name of the Falco rule that fired.
	Rule string `json:"rule,omitzero"`
	// Policy is the name of the Tetragon policy that matched.
	Policy string `json:"policy,omitzero"`
	// Hook is the kernel function or LSM hook that saw it.
	Hook string `json:"hook,omitzero"`
	// Action is what was done about it, as far as that is proven.
	Action Action `json:"action,omitzero"`
	// Asked is what the Tetragon policy told the kernel to do: "sigkill",
	// "override", "signal", "notifyenforcer"; empty where it only watched. What
	// was done, Action says; see [Event.SettleAction].
	Asked string `json:"asked,omitzero"`
	// Message is the source's own sentence. Attacker text may be in it.
	Message string `json:"message,omitzero"`
	// DuplicateOf is the ID of the first event about the same act; stages do not
	// count a duplicate again.
	DuplicateOf string `json:"duplicate_of,omitzero"`
	// Unparsed names parts of the record that the parser does not know.
	Unparsed []string `json:"unparsed,omitzero"`
	// Stage is the stage that made a derived event, "correlate". Empty for
	// events from outside.
	Stage string `json:"stage,omitzero"`
	// Cause is the ID of the event that made the stage derive this one.
	Cause string `json:"cause,omitzero"`
	// Threat is set in threat.* events.
	Threat *Threat `json:"threat,omitzero"`
	// KillSwitch is set in killswitch.* events.
	KillSwitch *KillSwitch `json:"killswitch,omitzero"`
	// Coverage is set in coverage.* events.
	Coverage *Coverage `json:"coverage,omitzero"`
	// Baseline is set in baseline.* events that g0 concluded.
	Baseline *Baseline `json:"baseline,omitzero"`
	// Origin is how the record reached g0: the evidence for Agent.
	Origin Origin `json:"origin,omitzero"`
	// Data is the source's free part, a JSON object: the plugin's "data", Falco's
	// "output_fields". Empty where there is none.
	Data jsontext.Value `json:"data,omitzero"`
	// Raw is the record as the source sent it. For JSON formats it is valid
	// JSON and stands in the JSON form under "raw"; a protobuf record stands
	// there as a base64 string. Which of them, Format says.
	Raw []byte `json:"raw,omitzero"`
	// Format of Raw.
	Format Format `json:"format,omitzero"`
}

// Source is the kind of program that reported an event.
type Source string

// The sources. Events of SourceG0 are g0's own.
const (
	SourceOpenClaw Source = "openclaw"
	SourceTetragon Source = "tetragon"
	SourceFalco    Source = "falco"
	SourceDocker   Source = "docker" // what the container runtime says of its containers
	SourceG0       Source = "g0"
)

// Format says how Raw is to be read; it stands in the journal beside each record.
type Format string

// The formats, one parser each.
const (
	FormatOpenClaw      Format = "openclaw"
	FormatFalco         Format = "falco"
	FormatTetragonJSON  Format = "tetragon_json"
	FormatTetragonProto Format = "tetragon_proto"
	FormatG0            Format = "g0" // AppendJSON's own form: internal events
)

// Action is what was done about an act.
type Action string

// The actions. ActionKilled and ActionDenied are given only where they are
// true: a Tetragon policy in monitor mode reports SIGKILL and kills nobody.
const (
	ActionObserved Action = "observed"
	ActionDenied   Action = "denied"
	ActionKilled   Action = "killed"
)

// Agent is who acted.
type Agent struct {
	// ID of the agent, "research". Empty: not known (the gateway may be).
	ID string `json:"id,omitzero"`
	// Gateway that runs the agent.
	Gateway string `json:"gateway,omitzero"`
	// By is the strongest evidence for ID (or, with ID empty, for Gateway).
	By Evidence `json:"by,omitzero"`
	// Claim is the agent that the record itself names: what an agent says of
	// itself, or nothing.
	Claim string `json:"claim,omitzero"`
}

// Key names the narrowest actor that is known, for windows and counters: the
// agent, else "gateway:NAME", else "". Agent ids cannot contain a colon.
func (a Agent) Key() string {
	if a.ID != "" {
		return a.ID
	}
	if a.Gateway != "" {
		return "gateway:" + a.Gateway
	}
	return ""
}

// Evidence is how an agent was identified, from strong to weak.
type Evidence string

// The kinds of evidence, strongest first.
const (
	ByKernel Evidence = "kernel" // a kernel sensor saw its container
	ByToken  Evidence = "token"  // the sender's token is bound to it or its gateway
	ByPeer   Evidence = "peer"   // the sender's network address is its own
	ByClaim  Evidence = "claim"  // the record says so
)

// Proven says whether the evidence is strong enough to stop an agent on it.
func (e Evidence) Proven() bool { return e == ByKernel || e == ByToken }

// Session is one conversation of an agent.
type Session struct {
	ID string `json:"id,omitzero"` // as the source gives it; OpenClaw: a UUID
	// Key as OpenClaw writes it, "agent:<id>:subagent:<uuid>".
	Key string `json:"key,omitzero"`
}

// Container as far as the source knows it. ID may be cut: Tetragon gives 31
// hexadecimal digits, Falco 12.
type Container struct {
	ID        string `json:"id,omitzero"`        // hexadecimal, perhaps cut
	Name      string `json:"name,omitzero"`      // as its runtime calls it
	Image     string `json:"image,omitzero"`     // as its runtime names it
	Pod       string `json:"pod,omitzero"`       // Kubernetes pod
	Namespace string `json:"namespace,omitzero"` // Kubernetes namespace
}

// Process that acted.
type Process struct {
	PID   uint32    `json:"pid,omitzero"`   // on the host
	Start time.Time `json:"start,omitzero"` // when it began; with PID it names the process
	Exe   string    `json:"exe,omitzero"`   // path of the program
	// Args is argv[1:] joined by the source; it cannot be split back reliably.
	Args string `json:"args,omitzero"`
	// Command is the command that the agent asked for, taken out of the shell
	// wrapper that OpenClaw's exec puts around it. Empty: not such an exec.
	Command string `json:"command,omitzero"`
	Cwd     string `json:"cwd,omitzero"` // working directory
	// UID is nil where the source does not say.
	UID *uint32 `json:"uid,omitzero"`
	// ExecID is Tetragon's name for this process and image.
	ExecID string `json:"exec_id,omitzero"`
	// Ancestors, parent first.
	Ancestors []Ancestor `json:"ancestors,omitzero"`
	// Signal that ended it, "SIGKILL"; only in process.exit.
	Signal string `json:"signal,omitzero"`
	// Status is the exit code; only in process.exit, 0 where Signal is set.
	Status uint32 `json:"status,omitzero"`
}

// Ancestor is a process above the one that acted.
type Ancestor struct {
	PID    uint32 `json:"pid,omitzero"`     // on the host
	Exe    string `json:"exe,omitzero"`     // path of the program
	Args   string `json:"args,omitzero"`    // argv[1:] joined by the source
	ExecID string `json:"exec_id,omitzero"` // Tetragon's name for this process and image
}

// File acted on. Path is as the acting process sees it.
type File struct {
	Path string `json:"path,omitzero"` // as the acting process sees it
	// NewPath is the target of a rename or link.
	NewPath string `json:"new_path,omitzero"`
	// Op is open, read, write, exec, connect, unlink, rename, truncate, link or
	// setattr; empty where the source does not say.
	Op string `json:"op,omitzero"`
}

// Network is one end-to-end connection or datagram. Addresses are unmapped:
// ::ffff:203.0.113.7 is given as 203.0.113.7.
type Network struct {
	// Protocol is tcp, udp or what the source says, lower case.
	Protocol string     `json:"protocol,omitzero"`
	SrcIP    netip.Addr `json:"src_ip,omitzero"`   // address it came from
	SrcPort  uint16     `json:"src_port,omitzero"` // port it came from
	DstIP    netip.Addr `json:"dst_ip,omitzero"`   // address it went to
	DstPort  uint16     `json:"dst_port,omitzero"` // port it went to
	// Domain is the name of the destination, where the source knows it.
	Domain string `json:"domain,omitzero"`
}

// Tool is a tool call of an agent.
type Tool struct {
	Name   string `json:"name,omitzero"`    // as the agent calls it, "exec"
	CallID string `json:"call_id,omitzero"` // ties a result to its call
	// Command is the shell command of an exec, from its parameters.
	Command string `json:"command,omitzero"`
	// Error of the call; a result with an error was perhaps never run.
	Error string `json:"error,omitzero"`
}

// Origin is how a record reached g0: journalled with it, since a replay has to
// judge it alike.
type Origin struct {
	// Peer is the sender's IP address; empty for unix sockets.
	Peer string `json:"peer,omitzero"`
	// Token is the name of the token that was shown, never the token.
	Token string `json:"token,omitzero"`
	// Agent and Gateway that the token is bound to.
	Agent   string `json:"agent,omitzero"`
	Gateway string `json:"gateway,omitzero"`
	// Sensor says that the sender is a kernel sensor whose word about
	// containers is believed (the Tetragon socket, or a token made for one).
	Sensor bool `json:"sensor,omitzero"`
	// PolicyMode is the Tetragon policy's mode when the event came, "enforce",
	// "monitor" or "" for not known.
	PolicyMode string `json:"policy_mode,omitzero"`
	// Position is how far what g0 reads has been read with this record, "PLACE
	// NAME": journalled with it, so that reading goes on there after a crash.
	// Empty where nothing is read.
	Position string `json:"position,omitzero"`
}

// Threat is several events seen as one attack.
type Threat struct {
	// Rule is the id of the correlation rule, "CT-001".
	Rule  string `json:"rule"`
	Title string `json:"title"` // of the rule
	// Confidence that it is an attack, 0 to 1.
	Confidence float64 `json:"confidence"`
	// Attack and Atlas are technique ids of MITRE ATT&CK ("T1552.001") and
	// MITRE ATLAS ("AML.T0051").
	Attack []string `json:"attack,omitzero"`
	Atlas  []string `json:"atlas,omitzero"`
	// Narrative tells it in a sentence or two. Attacker text may be in it.
	Narrative string `json:"narrative"`
	// Inferred says that part of it is known of the gateway only, so that Agent
	// is concluded or, with several Suspects, not known at all.
	Inferred bool     `json:"inferred,omitzero"`
	Suspects []string `json:"suspects,omitzero"` // agents that could have done it
	// Evidence lists the events it rests on, oldest first.
	Evidence []Proof `json:"evidence"`
}

// Proof is one event that a threat rests on.
type Proof struct {
	ID       string    `json:"id"`               // of the event
	Type     string    `json:"type"`             // of the event
	Source   Source    `json:"source"`           // of the event
	Received time.Time `json:"received"`         // when g0 received the event
	Summary  string    `json:"summary,omitzero"` // the event in a line, see [Event.Summary]
}

// KillSwitch is a decision about stopping an agent, or the result of an action.
type KillSwitch struct {
	// State after it: "armed", "dry_run", "withheld", "tripped".
	State string `json:"state"`
	// Rule that decided: "injection.detected", "CT-001", or "operator".
	Rule string `json:"rule,omitzero"`
	// Reason in words. Attacker text may be in it.
	Reason string `json:"reason,omitzero"`
	// Scope of the decision: "" for one agent, "gateway", or "global" for all.
	Scope string `json:"scope,omitzero"`
	// Expires is when the stop ends by itself; zero: never.
	Expires time.Time `json:"expires,omitzero"`
	// Actor is the person who asked, "uid:1000" or the operator token's name.
	Actor string `json:"actor,omitzero"`
	// Action is the name of the action of a result, "file".
	Action string `json:"action,omitzero"`
	// Verified says that the result of the action was checked and held.
	Verified bool `json:"verified,omitzero"`
	// Error of the action.
	Error string `json:"error,omitzero"`
	// TookNS is how long the action and its check took, in nanoseconds.
	TookNS int64 `json:"took_ns,omitzero"`
	// Evidence lists ids of the events that were counted, oldest first, at most 16.
	Evidence []string `json:"evidence,omitzero"`
}

// Coverage says where g0 is or was blind.
type Coverage struct {
	// What lost its sight: "tetragon", "receiver", "output", "journal", ...
	What string `json:"what"`
	// Reason in a word or two, "stream gap". The same What and Reason stand in
	// the coverage.restored that ends it.
	Reason string `json:"reason"`
	// Detail in words. Attacker text may be in it.
	Detail string `json:"detail,omitzero"`
	// Count of events that are known to be lost. 0: not known how many.
	Count uint64 `json:"count,omitzero"`
	// Since and Until bound the time without sight.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// Baseline is what is unusual for an agent.
type Baseline struct {
	// Feature that it is about: "tool", "binary", "destination", "file", "type",
	// or "rate".
	Feature string `json:"feature"`
	// Item that is new for the agent; in baseline.rate, what came so often.
	// Attacker text may be in it.
	Item string `json:"item,omitzero"`
	// Rate that was seen, in events a minute; in baseline.rate only.
	Rate float64 `json:"rate,omitzero"`
	// Usual rate, in events a minute; in baseline.rate only.
	Usual float64 `json:"usual,omitzero"`
	// Known is how many items of the feature the agent is known for.
	Known int `json:"known,omitzero"`
}

// Derive makes an event that stage concludes from e. Its ID is e's followed by
// "-" and suffix, so that a replay gives the same; suffix must differ among the
// events that one stage derives from one event. Times, journal place, actor,
// session, container and host are e's.
func (e *Event) Derive(stage, typ, suffix string) *Event {
	return &Event{
		Schema: SchemaVersion, ID: e.ID + "-" + suffix, Seq: e.Seq,
		Source: SourceG0, Type: typ, Time: e.Time, Received: e.Received,
		Severity: SeverityOf(typ), Agent: e.Agent, Session: e.Session,
		Container: e.Container, Host: e.Host, Stage: stage, Cause: e.ID,
		Format: FormatG0,
	}
}

// Derived says whether g0 made the event itself.
func (e *Event) Derived() bool { return e.Source == SourceG0 }

// maxSkew bounds how far the source's clock may be behind or ahead of ours
// before it is not used for ordering: OpenClaw's POSTs were seen to overtake
// each other by 0.4 s.
const (
	maxBehind = 10 * time.Second
	maxAhead  = time.Second
)

// Order is the time by which events are put in order: the source's where it is
// near ours, else Received. Windows use Received.
func (e *Event) Order() time.Time {
	if e.Time.IsZero() || e.Time.Before(e.Received.Add(-maxBehind)) || e.Time.After(e.Received.Add(maxAhead)) {
		return e.Received
	}
	return e.Time
}
