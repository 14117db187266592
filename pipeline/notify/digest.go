package notify

import (
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Digest sums up events of several categories: those of an interval, or those
// that were too many to be told singly. Attacker text may be in the groups.
type Digest struct {
	// From is when its first event was received, Until when it was closed; UTC.
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Total events, those of groups that were left out included.
	Total uint64 `json:"total"`
	// Groups by category, gravest first, then by count; at most 33.
	Groups []Group `json:"groups"`
}

// Group is what an interval had of one category.
type Group struct {
	Category string `json:"category"`
	// Severity is the highest in the group.
	Severity event.Severity `json:"severity"`
	Count    uint64         `json:"count"`
	// First and Last are when the first and the last of them were received.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Agents with the most events, at most 8, each with its count.
	Agents []AgentCount `json:"agents,omitzero"`
	// MoreAgents is how many further agents there were: at least, where they are
	// 248, since no more are counted apart.
	MoreAgents int `json:"more_agents,omitzero"`
	// Examples are the first summaries of events that differ, at most 3.
	Examples []string `json:"examples,omitzero"`
}

// AgentCount is how many events an agent had.
type AgentCount struct {
	Agent string `json:"agent"`
	Count uint64 `json:"count"`
}
