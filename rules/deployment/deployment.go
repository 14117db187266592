// Package deployment describes where agents run, what is theirs and what they
// may reach: the one description from which the files of Tetragon, Falco,
// auditd, iptables, nftables and Docker Compose are generated.
package deployment

// Deployment is what the generators need to know. Its paths are the host's; how
// agents' processes see them is in Mounts. The zero value describes nothing;
// [Default] holds what stands for keys left out. Read-only once validated.
type Deployment struct {
	// AgentDataPath is the folder that has one folder an agent, absolute.
	AgentDataPath string `yaml:"agentDataPath" json:"agentDataPath,omitzero"`
	// StatePath is OpenClaw's state folder. Empty: the parent of AgentDataPath.
	StatePath string `yaml:"statePath" json:"statePath,omitzero"`
	// Mounts say where containers see folders of the host.
	Mounts []Mount `yaml:"mounts" json:"mounts,omitzero"`
	// Homes are the home folders of agents' users, as their processes see them.
	Homes []string `yaml:"homes" json:"homes,omitzero"`

	Agents   []Agent   `yaml:"agents" json:"agents,omitzero"`
	Gateway  Gateway   `yaml:"gateway" json:"gateway,omitzero"`
	Networks []Network `yaml:"networks" json:"networks,omitzero"`
	Egress   Egress    `yaml:"egress" json:"egress,omitzero"`

	// Credentials, Sessions, Logs, Cognitive (what is read into the prompt), Code
	// (what is run or loaded) and Config (what is applied while running) are
	// patterns of files; see [ParsePattern].
	Credentials []string `yaml:"credentials" json:"credentials,omitzero"`
	Sessions    []string `yaml:"sessions" json:"sessions,omitzero"`
	Logs        []string `yaml:"logs" json:"logs,omitzero"`
	Cognitive   []string `yaml:"cognitive" json:"cognitive,omitzero"`
	Code        []string `yaml:"code" json:"code,omitzero"`
	Config      []string `yaml:"config" json:"config,omitzero"`

	// SensitiveBinaries are names ("curl") or absolute paths of programs.
	SensitiveBinaries []string `yaml:"sensitiveBinaries" json:"sensitiveBinaries,omitzero"`
	// RuntimeSockets are absolute paths of container runtimes' sockets.
	RuntimeSockets []string `yaml:"runtimeSockets" json:"runtimeSockets,omitzero"`

	Scope       Scope       `yaml:"scope" json:"scope,omitzero"`
	Enforcement Enforcement `yaml:"enforcement" json:"enforcement,omitzero"`
}

// Mount is a folder of the host that containers see elsewhere. Both are absolute.
type Mount struct {
	Host      string `yaml:"host" json:"host,omitzero"`
	Container string `yaml:"container" json:"container,omitzero"`
}

// Agent is one agent. Several share the gateway's container, unless one has
// containers of its own: its sandboxes, or a gateway that serves it alone.
type Agent struct {
	ID string `yaml:"id" json:"id,omitzero"`
	// UID its processes run as, where it is known.
	UID *int `yaml:"uid" json:"uid,omitzero"`
	// Workspace is the folder it works in. Empty: unknown.
	Workspace  string      `yaml:"workspace" json:"workspace,omitzero"`
	Containers []Container `yaml:"containers" json:"containers,omitzero"`
}

// Container is named by what is known of it: at least one of ID and Name.
type Container struct {
	// ID is what Docker calls it, 12 to 64 hex digits.
	ID   string `yaml:"id" json:"id,omitzero"`
	Name string `yaml:"name" json:"name,omitzero"`
	// Gateway says that OpenClaw itself runs in it, and not only tools: it then
	// reads its own credentials and writes its own logs and sessions.
	Gateway bool `yaml:"gateway" json:"gateway,omitzero"`
}

// Gateway is the process that serves the agents.
type Gateway struct {
	Port int `yaml:"port" json:"port,omitzero"`
	// Bind is OpenClaw's gateway.bind: auto, lan, loopback, custom, tailnet; empty:
	// unset, which in a container means every address.
	Bind string `yaml:"bind" json:"bind,omitzero"`
	// UID it runs as, where it is known.
	UID *int `yaml:"uid" json:"uid,omitzero"`
	// Container it runs in; the zero value: on the host.
	Container Container `yaml:"container" json:"container,omitzero"`
	// Binaries are the programs that it and nothing else of OpenClaw is, as its
	// processes see them: /usr/local/bin/node.
	Binaries []string `yaml:"binaries" json:"binaries,omitzero"`
	// StartsSandboxes says that it talks to a container runtime itself.
	StartsSandboxes bool `yaml:"startsSandboxes" json:"startsSandboxes,omitzero"`
}

// Network is a network of containers that agents are on.
type Network struct {
	Name string `yaml:"name" json:"name,omitzero"`
	// Bridge is the interface's name on the host, at most 15 characters.
	Bridge string `yaml:"bridge" json:"bridge,omitzero"`
	// Subnets are its CIDRs, v4 and v6.
	Subnets []string `yaml:"subnets" json:"subnets,omitzero"`
	// Addresses of the agents on it. Empty: everything on it is an agent.
	Addresses []string `yaml:"addresses" json:"addresses,omitzero"`
}

// Egress is what agents may reach.
type Egress struct {
	// Allow holds domains, *.domain, IPs, CIDRs, and host:port; see [ParseAllow].
	Allow []string `yaml:"allow" json:"allow,omitzero"`
	// Resolvers are the DNS servers (IP or IP:port) that agents may ask.
	Resolvers []string `yaml:"resolvers" json:"resolvers,omitzero"`
	// Resolved has the addresses of the domains in Allow; [Deployment.Resolve]
	// fills it, and what stands in the file is kept as it is.
	Resolved map[string][]string `yaml:"resolved" json:"resolved,omitzero"`
}

// Scope says how agents are told from everything else in the kernel.
type Scope struct {
	// Kind is one of the Scope constants. Empty: what the rest tells, see
	// [Deployment.ScopeKind].
	Kind string `yaml:"kind" json:"kind,omitzero"`
	// CgroupParent is the name of the cgroup that holds the agents' containers and
	// nothing else, as compose's cgroup_parent has it: "g0-agents.slice".
	CgroupParent string `yaml:"cgroupParent" json:"cgroupParent,omitzero"`
	// Namespace and PodLabels choose pods on Kubernetes.
	Namespace string            `yaml:"namespace" json:"namespace,omitzero"`
	PodLabels map[string]string `yaml:"podLabels" json:"podLabels,omitzero"`
	// Binaries are programs whose whole tree of processes is meant, for observing
	// a gateway on the host.
	Binaries []string `yaml:"binaries" json:"binaries,omitzero"`
	// GatewayInside says that the gateway's own container is under CgroupParent or
	// among the pods too.
	GatewayInside bool `yaml:"gatewayInside" json:"gatewayInside,omitzero"`
}

// Kinds of scope, the strongest first.
const (
	// ScopeCgroupParent covers containers under a cgroup of their own: static, and
	// in force from a container's first instruction.
	ScopeCgroupParent = "cgroup-parent"
	// ScopeContainers covers the containers that the description names by id; it
	// must be generated again when one is made anew.
	ScopeContainers = "containers"
	// ScopeKubernetes covers pods by namespace and labels.
	ScopeKubernetes = "kubernetes"
	// ScopeBinaries covers programs and what they start, inside and outside of
	// containers. For observing only.
	ScopeBinaries = "binaries"
	// ScopeAllContainers covers everything with a pid namespace of its own. For
	// observing only.
	ScopeAllContainers = "all-containers"
	// ScopeHost covers everything. For observing only.
	ScopeHost = "host"
)

// Enforcement says what happens on a violation.
type Enforcement struct {
	// Mode is observe or enforce.
	Mode string `yaml:"mode" json:"mode,omitzero"`
	// Policies that enforce beside the critical ones, by their Tetragon names, or
	// the single word "all". They need Mode enforce.
	Policies []string `yaml:"policies" json:"policies,omitzero"`
	// OnViolation is kill (the act is denied and the process killed) or deny.
	OnViolation string `yaml:"onViolation" json:"onViolation,omitzero"`
	// AllowAny accepts an allow list that holds every address.
	AllowAny bool `yaml:"allowAny" json:"allowAny,omitzero"`
	// ResolveDomains accepts domains in an enforcing Tetragon policy, as the
	// addresses they had when it was generated.
	ResolveDomains bool `yaml:"resolveDomains" json:"resolveDomains,omitzero"`
}

// Values of Enforcement.
const (
	Observe = "observe"
	Enforce = "enforce"
	Kill    = "kill"
	Deny    = "deny"
	All     = "all"
)

// The policies, by the names that users see.
const (
	PolicyEgress          = "g0-openclaw-egress"
	PolicyCrossAgent      = "g0-openclaw-cross-agent"
	PolicyDockerSocket    = "g0-openclaw-docker-socket"
	PolicySensitiveBinary = "g0-openclaw-sensitive-binary"
	PolicyCredentials     = "g0-openclaw-credential-protection"
	PolicyLogs            = "g0-openclaw-log-protection"
	PolicyCognitive       = "g0-openclaw-cognitive-protection"
	PolicyCode            = "g0-openclaw-code-injection"
)

// Policies lists the six policies that are always generated, in the order of the
// specification, and ExtraPolicies those that are generated when asked for.
var (
	Policies      = []string{PolicyEgress, PolicyCrossAgent, PolicyDockerSocket, PolicySensitiveBinary, PolicyCredentials, PolicyLogs}
	ExtraPolicies = []string{PolicyCognitive, PolicyCode}
)

// critical are the policies that enforce by Mode alone.
var critical = []string{PolicyEgress, PolicyCrossAgent, PolicyDockerSocket}
