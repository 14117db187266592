package component

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/correlate"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

// TestExamples builds and runs every example of every component's spec. An input
// goes as far as it can outside of g0 run: its fields are read and checked.
func TestExamples(t *testing.T) {
	for _, c := range components(t) {
		for _, e := range c.Examples {
			t.Run(c.Name+"/"+e.Title, func(t *testing.T) {
				err := runPipeline(t, e.Config)
				needsRun := err != nil && strings.Contains(err.Error(), errNeedsRun.Error())
				if c.Type == "input" && !needsRun {
					t.Errorf("got %v, want %v", err, errNeedsRun)
				}
				if c.Type != "input" && err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestBuiltInPipeline lints the pipeline that runs by default.
func TestBuiltInPipeline(t *testing.T) {
	if err := runPipeline(t, config.Pipeline); err == nil || !strings.Contains(err.Error(), errNeedsRun.Error()) {
		t.Errorf("got %v, want %v", err, errNeedsRun)
	}
}

// runPipeline runs a pipeline outside of g0 run; where text has no input, on one
// event. Files that it names are there.
func runPipeline(t *testing.T, text string) error {
	t.Helper()
	env := NewEnvironment()
	if err := Register(env, &Runtime{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "input:") {
		text += "\ninput:\n  generate: { count: 1, interval: '', mapping: 'root.type = \"injection.detected\"' }\n"
	}
	if !strings.Contains(text, "output:") {
		text += "\noutput:\n  drop: {}\n"
	}
	b := env.NewStreamBuilder()
	b.SetLogger(slog.New(slog.DiscardHandler))
	b.SetEnvVarLookupFunc(func(name string) (string, bool) {
		if strings.HasSuffix(name, "_TOKEN") {
			return name + "-0123456789", true
		}
		return "", false
	})
	if err := b.SetYAML(withFiles(t, text)); err != nil {
		return err
	}
	s, err := b.Build()
	if err != nil {
		return err
	}
	return s.Run(t.Context())
}

// withFiles puts files of the test in the place of those that the examples name.
func withFiles(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"slack-webhook":   "https://hooks.slack.com/services/T0/B0/x",
		"discord-webhook": "https://discord.com/api/webhooks/1/x",
		"pagerduty-key":   "0123456789abcdef0123456789abcdef",
		"heartbeat-url":   "https://hc-ping.com/0123",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return strings.NewReplacer(
		"/etc/g0/rules", documentedRules(t),
		"/run/secrets/", dir+"/",
		"/var/log/g0/", dir+"/",
	).Replace(text)
}

// TestRuleCases runs the cases of the rules that docs/rules.md shows, beside the
// built-in ones.
func TestRuleCases(t *testing.T) {
	own, err := correlation.ReadFiles(documentedRules(t))
	if err != nil {
		t.Fatal(err)
	}
	results, err := correlate.RunCases(slices.Concat(correlation.Builtin(), own), CompileCondition)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		t.Run(filepath.Base(r.File)+"/"+r.Name, func(t *testing.T) {
			if r.Err != nil {
				t.Errorf("%s:%d: %v", r.File, r.Line, r.Err)
			}
		})
	}
}

// namedFile is a file shown in a page: its name, and a block of YAML.
var namedFile = regexp.MustCompile("(?s)`([a-z.]+\\.yaml)`:\n\n```yaml\n(.*?)```")

// documentedRules writes the files that docs/rules.md shows into a folder.
func documentedRules(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := namedFile.FindAllSubmatch(page, -1)
	if len(files) != 2 {
		t.Fatalf("docs/rules.md shows %d files, not a rule file and its cases", len(files))
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, string(f[1])), f[2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
