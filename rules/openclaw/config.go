// Package openclaw reads what OpenClaw keeps on disk, as far as it says how its
// agents are run: openclaw.json of both layouts, and where sessions are.
package openclaw

import "github.com/guard0-ai/g0-sidecar/config"

// Config is openclaw.json, as far as it matters to who guards it. A nil pointer,
// slice or map says that the key is not set; what OpenClaw does then stands in the
// field's comment, as 2026.9.6 does it. Read-only.
type Config struct {
	Meta struct {
		// LastTouchedVersion of OpenClaw, "2026.9.6".
		LastTouchedVersion *string `json:"lastTouchedVersion"`
	} `json:"meta"`
	Gateway  Gateway `json:"gateway"`
	Tools    Tools   `json:"tools"`
	Agents   Agents  `json:"agents"`
	Plugins  Plugins `json:"plugins"`
	Channels struct {
		Defaults Channel            `json:"defaults"`
		ByName   map[string]Channel `json:"*"`
	} `json:"channels"`
	Session struct {
		// DMScope is main, per-peer, per-channel-peer or per-account-channel-peer.
		DMScope *string `json:"dmScope"`
	} `json:"session"`
	Logging  Logging  `json:"logging"`
	Hooks    Hooks    `json:"hooks"`
	Commands Commands `json:"commands"`
	Models   struct {
		Providers map[string]Provider `json:"providers"`
	} `json:"models"`
	Env struct {
		Vars map[string]config.Secret `json:"vars"`
	} `json:"env"`

	// Odd are the keys, in order, whose value is not of the kind that is known:
	// their fields are as if they were not set. "$include" is one, as what it names
	// is not read.
	Odd []string `json:"-"`
}

// Gateway is the process that serves the agents.
type Gateway struct {
	Mode *string `json:"mode"` // local, remote
	Port *int    `json:"port"` // unset: 18789
	// Bind is auto, lan, loopback, custom or tailnet. Unset: loopback, in a container
	// every address.
	Bind           *string `json:"bind"`
	CustomBindHost *string `json:"customBindHost"`
	Auth           struct {
		Mode      *string `json:"mode"` // none, token, password, trusted-proxy
		Token     Secret  `json:"token"`
		Password  Secret  `json:"password"`
		RateLimit Present `json:"rateLimit"`
	} `json:"auth"`
	TrustedProxies []string `json:"trustedProxies"`
	ControlUI      struct {
		AllowedOrigins                           []string `json:"allowedOrigins"`
		DangerouslyDisableDeviceAuth             *bool    `json:"dangerouslyDisableDeviceAuth"`
		DangerouslyAllowHostHeaderOriginFallback *bool    `json:"dangerouslyAllowHostHeaderOriginFallback"`
	} `json:"controlUi"`
	Tailscale struct {
		Mode *string `json:"mode"` // off, serve, funnel
	} `json:"tailscale"`
	Tools struct {
		Allow []string `json:"allow"`
		Deny  []string `json:"deny"`
	} `json:"tools"`
	HTTP struct {
		Endpoints Present `json:"endpoints"`
	} `json:"http"`
	Reload struct {
		Mode *string `json:"mode"`
	} `json:"reload"`
}

// Tools says what agents may use; that of an agent stands before that of all.
type Tools struct {
	Profile   *string  `json:"profile"` // minimal, coding, messaging, full
	Allow     []string `json:"allow"`
	AlsoAllow []string `json:"alsoAllow"`
	Deny      []string `json:"deny"`
	Exec      Exec     `json:"exec"`
	FS        struct {
		WorkspaceOnly *bool `json:"workspaceOnly"`
	} `json:"fs"`
	Elevated struct {
		Enabled   *bool   `json:"enabled"` // unset: true
		AllowFrom Present `json:"allowFrom"`
	} `json:"elevated"`
	AgentToAgent struct {
		Enabled *bool    `json:"enabled"` // unset: true
		Allow   []string `json:"allow"`
	} `json:"agentToAgent"`
	Sessions struct {
		Visibility *string `json:"visibility"` // unset: all
	} `json:"sessions"`
}

// Exec is the tool that runs commands.
type Exec struct {
	Host             *string  `json:"host"`     // auto, sandbox, gateway, node
	Mode             *string  `json:"mode"`     // deny, allowlist, ask, auto, full; only 2026.9.6
	Security         *string  `json:"security"` // deny, allowlist, full; unset: full
	Ask              *string  `json:"ask"`      // off, on-miss, always; unset: off
	SafeBins         []string `json:"safeBins"`
	StrictInlineEval *bool    `json:"strictInlineEval"`
	ApplyPatch       struct {
		WorkspaceOnly *bool `json:"workspaceOnly"`
	} `json:"applyPatch"`
}

// Agents are the agents and what holds for all of them.
type Agents struct {
	Ownership *string  `json:"ownership"`
	Defaults  Defaults `json:"defaults"`
	// Entries are the agents by id, of agents.entries and agents.list together; that
	// of entries where both have it.
	Entries map[string]Agent `json:"entries"`
	// List says that the file has agents.list, the layout of 2026.3.13.
	List bool `json:"-"`
}

// Defaults hold for agents that say nothing else.
type Defaults struct {
	Workspace *string `json:"workspace"`
	Sandbox   Sandbox `json:"sandbox"`
}

// Agent is one agent.
type Agent struct {
	Name      *string `json:"name"`
	Workspace *string `json:"workspace"`
	// AgentDir is the folder "agent" in the agent's own.
	AgentDir  *string `json:"agentDir"`
	Sandbox   Sandbox `json:"sandbox"`
	Tools     Tools   `json:"tools"`
	Subagents struct {
		AllowAgents []string `json:"allowAgents"`
	} `json:"subagents"`
}

// Sandbox says where an agent's tools run.
type Sandbox struct {
	Mode            *string `json:"mode"`            // off, non-main, all; unset: off
	Scope           *string `json:"scope"`           // session, agent, shared; unset: agent
	Backend         *string `json:"backend"`         // docker, podman, ssh, openshell
	WorkspaceAccess *string `json:"workspaceAccess"` // none, ro, rw
	Docker          struct {
		Image        *string  `json:"image"`
		Network      *string  `json:"network"`
		User         *string  `json:"user"`
		Binds        []string `json:"binds"`
		ReadOnlyRoot *bool    `json:"readOnlyRoot"`
		CapDrop      []string `json:"capDrop"`
		// Dangerously are the keys that begin with "dangerously" and are true, sorted.
		Dangerously []string `json:"dangerously*"`
	} `json:"docker"`
}

// Plugins are what is loaded into the gateway.
type Plugins struct {
	Enabled *bool    `json:"enabled"`
	Allow   []string `json:"allow"` // unset or empty: what is found is loaded
	Deny    []string `json:"deny"`
	Load    struct {
		Paths []string `json:"paths"`
	} `json:"load"`
	Entries map[string]Plugin `json:"entries"`
}

// Plugin is one plugin.
type Plugin struct {
	Enabled *bool `json:"enabled"`
	Hooks   struct {
		AllowConversationAccess *bool `json:"allowConversationAccess"`
		AllowPromptInjection    *bool `json:"allowPromptInjection"`
	} `json:"hooks"`
}

// Channel is a way by which people write to agents.
type Channel struct {
	Enabled     *bool    `json:"enabled"`
	DMPolicy    *string  `json:"dmPolicy"`    // pairing, allowlist, open, disabled; unset: pairing
	GroupPolicy *string  `json:"groupPolicy"` // open, disabled, allowlist; unset: allowlist
	AllowFrom   []string `json:"allowFrom"`
	BotToken    Secret   `json:"botToken"`
}

// Logging says what is written where.
type Logging struct {
	Level *string `json:"level"`
	File  *string `json:"file"` // unset: a file a day in LogFolder
	Audit struct {
		Enabled  *bool `json:"enabled"`
		Messages *bool `json:"messages"`
	} `json:"audit"`
}

// Hooks are webhooks that start turns.
type Hooks struct {
	Enabled                *bool   `json:"enabled"`
	Path                   *string `json:"path"`
	Token                  Secret  `json:"token"`
	AllowRequestSessionKey *bool   `json:"allowRequestSessionKey"`
}

// Commands are what people can order in a chat.
type Commands struct {
	Bash    *bool `json:"bash"`
	Config  *bool `json:"config"`
	Restart *bool `json:"restart"`
}

// Provider serves models.
type Provider struct {
	BaseURL *string `json:"baseUrl"`
	APIKey  Secret  `json:"apiKey"`
}
