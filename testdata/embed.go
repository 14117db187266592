// Package testdata holds events recorded from the real programs. README.md says
// where each file comes from. What the binary itself replays (g0 demo) is
// embedded; tests read the rest from the folder.
package testdata

import "embed"

// Recorded holds the files that g0 demo replays:
// "tetragon/agent-under-attack.jsonl", "tetragon/tracingpolicy-list-observe.json",
// "openclaw-plugin/story.jsonl", "falco/alerts.jsonl" and, not recorded,
// "composed/openclaw-exec.jsonl".
//
//go:embed tetragon/agent-under-attack.jsonl tetragon/tracingpolicy-list-observe.json composed/openclaw-exec.jsonl
//go:embed openclaw-plugin/story.jsonl falco/alerts.jsonl
var Recorded embed.FS
