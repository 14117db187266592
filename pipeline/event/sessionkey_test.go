package event

import (
	"strings"
	"testing"
)

func TestAgentOfSessionKey(t *testing.T) {
	tests := []struct{ key, want string }{
		{"agent:research:main", "research"},
		{"agent:research:subagent:bcc15b23-ab96-4cdc-b1f3-4589223e41ba", "research"},
		{"agent:research:acp:bcc15b23-ab96-4cdc-b1f3-4589223e41ba", "research"},
		{"agent:support:workspace:db1223458d5f4fa8b95f0e4aa9749d80", "support"},
		{"agent:support:main:workspace:db1223458d5f4fa8b95f0e4aa9749d80", "support"},
		{"agent:support:whatsapp:direct:+15550100", "support"},
		{"agent:support", "support"},
		{"agent:a.b_c-d@e:main", "a.b_c-d@e"},
		{"cron:17:run:2", ""},
		{"hook:bcc15b23-ab96-4cdc-b1f3-4589223e41ba", ""},
		{"shared", ""},
		{"", ""},
		{"agent:", ""},
		{"agent::main", ""},
		{"agent:..:main", ""},
		{"agent:a/b:main", ""},
		{"agent:a b:main", ""},
		{"Agent:a:main", ""},
		{"agent:" + strings.Repeat("a", 129), ""},
	}
	for _, tt := range tests {
		if got := AgentOfSessionKey(tt.key); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.key, got, tt.want)
		}
	}
}

func TestValidAgentID(t *testing.T) {
	for id, want := range map[string]bool{
		"main": true, "Research-2": true, "a@b.c": true, "_": true, strings.Repeat("a", 128): true,
		"": false, ".": false, "..": false, ".hidden": false, "a..b": false, "a/b": false, `a\b`: false,
		"a:b": false, "a b": false, "a\x00": false, "é": false, strings.Repeat("a", 129): false,
	} {
		if got := ValidAgentID(id); got != want {
			t.Errorf("%q: got %v, want %v", id, got, want)
		}
	}
}
