// Package scan looks at what is known of a deployment and says what is unsafe
// there: a table of checks over facts, a report that can be kept, and what
// differs between two reports. Checks and comparison are pure: the facts are
// gathered by rules/probe.
package scan

import (
	"io/fs"
	"net/netip"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/openclaw"
)

// Fact is what was looked up, or why it could not be. The zero value says that
// nobody looked.
type Fact[T any] struct {
	Value T
	// Known says that somebody looked and that Value is what there is.
	Known bool
	// Why it is not known, one clause without a full stop.
	Why string
}

// Of is a fact that is known.
func Of[T any](v T) Fact[T] { return Fact[T]{Value: v, Known: true} }

// Unknown is a fact that could not be looked up.
func Unknown[T any](why string) Fact[T] { return Fact[T]{Why: why} }

// why says why a fact is not known.
func (f Fact[T]) why() string {
	if f.Why == "" {
		return "nobody looked"
	}
	return f.Why
}

// Facts are what is known of a deployment and of the machine it is on. Texts in
// them are hostile: names of files and agents are chosen by agents.
type Facts struct {
	Deployment *deployment.Deployment
	// Want is what g0's generated files would load, by name.
	Want Want
	// Before has the hashes of the cognitive files in the report kept last, by path.
	Before Fact[map[string]string]

	// Settings are openclaw.json.
	Settings Fact[*openclaw.Config]
	// EnvFile has the names of the variables in the state folder's .env.
	EnvFile    Fact[[]string]
	Containers Fact[[]Container]
	Processes  Fact[[]Process]
	Files      Fact[[]File]
	Secrets    Fact[Secrets]
	// Missed are the folders of which not everything is in Files and Secrets.
	Missed []Missed

	// Audit has the rules in the kernel, each as auditctl -l shows it.
	Audit    Fact[[]string]
	Tetragon Fact[[]Policy]
	Falco    Fact[Falco]
	Firewall Firewall
	// LSM has the security modules that the kernel asks, in their order.
	LSM Fact[[]string]

	// Listeners are the addresses on which the gateway's port is open.
	Listeners   Fact[[]netip.AddrPort]
	Connections Fact[[]Connection]
}

// Want names what g0 generates for the deployment.
type Want struct {
	// AuditRules are auditd's, each as auditctl -l would show it.
	AuditRules []string
	// AuditFolders has by rule the folder without which the kernel takes it not.
	AuditFolders map[string]string
	// Policies are Tetragon's, FalcoRules Falco's.
	Policies, FalcoRules []string
}

// Container is one of the agents' or the gateway's, as Docker describes it.
type Container struct {
	Name string
	// Agent whose container it is. Empty: the gateway's.
	Agent string
	// User as configured, "1000:1000". Empty: root.
	User string
	// Mounts are the host's paths that it sees.
	Mounts []string
	// EnvNames are the names of its variables; values are never kept.
	EnvNames []string
	// PID of its first process. 0: it does not run.
	PID int
}

// Process is one of the agents' or the gateway's.
type Process struct {
	PID  int
	Comm string
	// UID it acts as (effective).
	UID int
	// Exec says that an agent's exec tool started it.
	Exec bool
	// EnvNames are the names of its variables, where they could be read.
	EnvNames []string
}

// Kind says what a file is to a deployment; one file may be several things.
type Kind uint8

// Kinds of files.
const (
	Session Kind = 1 << iota
	Credential
	Cognitive
	Models   // models.json, in which old versions keep a copy of the keys
	Leftover // a transcript that an upgrade left behind
)

// File is one that matters.
type File struct {
	// Path on the host, absolute.
	Path string
	// Agent in whose folder or workspace it is. Empty: nobody's own.
	Agent string
	Kind  Kind
	Mode  fs.FileMode
	UID   int
	// World says that every user of the machine may read it: its own mode and all
	// folders above it allow that.
	World bool
	// Readers are those of the agents' uids that may read it.
	Readers []int
	// Hash is the SHA-256 of what is known of a cognitive file, in hex: of its content,
	// or of where it leads, if it is a link. HashWhy says why there is none, or why it
	// does not tell all.
	Hash, HashWhy string
}

// Missed is a folder that could not be looked into, or not to its end.
type Missed struct {
	// Under is its path on the host, absolute.
	Under string
	// Why not, a clause.
	Why string
}

// Secrets are the secrets found in files of agents, without their values.
type Secrets struct {
	Found []Secret
	// Unread are files that may hold secrets and could not be read, with the reason.
	Unread []string
}

// Secret is a place where a secret stands.
type Secret struct {
	// Mark is the same for the same value in one scan, and says nothing of it.
	Mark string
	// Agent in whose folder it stands. Empty: shared by all.
	Agent string
	// File is its path, Field the key in it.
	File, Field string
}

// Policy is a policy that Tetragon holds.
type Policy struct {
	Name string
	// Enabled says that it is loaded and switched on, Enforcing that it may act.
	Enabled, Enforcing bool
	// Trouble is Tetragon's own word on why it is not.
	Trouble string
}

// Falco is what is known of Falco on the machine.
type Falco struct {
	Running bool
	// Rules are the names of the rules in its files.
	Rules []string
}

// Firewall is what iptables holds, by chain: the rules of DOCKER-USER, FORWARD and
// g0's own chains as iptables -S prints them, in their order; and the tables of
// nftables.
type Firewall struct {
	V4, V6 Fact[map[string][]string]
	NFT    Fact[[]Table]
}

// Table is one of nftables'.
type Table struct {
	Name string
	// Refuses says that a rule in it rejects or drops.
	Refuses bool
}

// Connection is one that a process of an agent or of the gateway opened.
type Connection struct {
	// Agent that holds it. Empty: the gateway, for whichever agent.
	Agent    string
	Protocol string // tcp or udp
	Remote   netip.AddrPort
}
