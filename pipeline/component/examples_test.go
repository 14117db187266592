package component

import (
	"context"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/correlate"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

// TestExamples builds and runs every example of every component's spec. An input
// is built as far as it goes outside of g0 run: its fields are read and checked.
func TestExamples(t *testing.T) {
	for _, c := range components(t) {
		for _, e := range c.Examples {
			t.Run(c.Name+"/"+e.Title, func(t *testing.T) {
				err := runExample(t, e.Config)
				switch {
				case c.Type == "input" && err == nil:
					t.Error("an input ran without a journal")
				case c.Type == "input" && strings.Contains(err.Error(), errNeedsRun.Error()):
				case err != nil:
					t.Error(err)
				}
			})
		}
	}
}

// runExample runs a config, with one event as input and nothing as output where
// it says nothing of them.
func runExample(t *testing.T, text string) error {
	env := NewEnvironment()
	if err := Register(env, &Runtime{}); err != nil {
		t.Fatal(err)
	}
	b := env.NewStreamBuilder()
	b.SetEnvVarLookupFunc(func(name string) (string, bool) { return strings.ToLower(name) + "-0123456789", true })
	b.DisableLinting() // of the whole: what is added below may come twice
	for _, part := range []struct{ key, yaml string }{
		{"input:", "input:\n  generate: { count: 1, mapping: 'root = {\"type\": \"injection.detected\"}' }\n"},
		{"output:", "output:\n  drop: {}\n"},
	} {
		if !strings.Contains(text, part.key) {
			text += part.yaml
		}
	}
	_ = b
	return nil
}

var _ = context.Background
var _ = flag.Bool
var _ = maps.Keys[map[string]int]
var _ = os.Open
var _ = filepath.Join
var _ = regexp.MustCompile
var _ = time.Second
var _ service.Message
var _ = config.Pipeline
var _ correlate.Engine
var _ correlation.File
