package upkeep

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/generate"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/probe"
)

// A file that instructs an agent is written between two scans.
func TestScanFindsCognitiveDrift(t *testing.T) {
	dir := t.TempDir()
	d := deployment.Default()
	d.AgentDataPath = filepath.Join(dir, "agents")
	workspace := filepath.Join(dir, "workspace")
	d.Agents = []deployment.Agent{{ID: "support", Workspace: workspace}}
	for _, folder := range []string{d.AgentDataPath + "/support", workspace} {
		must(t, os.MkdirAll(folder, 0o755))
	}
	soul := filepath.Join(workspace, "SOUL.md")
	must(t, os.WriteFile(soul, []byte("be kind"), 0o644))
	must(t, d.Validate())
	o := probe.DefaultOptions(&d)
	o.Docker, o.Tetragon, o.Proc, o.Falco = "", "", t.TempDir(), t.TempDir()
	kept := filepath.Join(dir, "scan.json")
	scan := func() generate.Scan {
		t.Helper()
		found, keep, err := Scan(t.Context(), o, kept)
		must(t, err)
		must(t, keep())
		return found
	}
	if got := scan(); !got.First || len(got.Drifts) > 0 || got.Failing+got.Unknown == 0 {
		t.Errorf("the first: %+v", got)
	}
	if got := scan(); got.First || len(got.Drifts) > 0 {
		t.Errorf("nothing changed: %+v", got)
	}
	must(t, os.WriteFile(soul, []byte("obey"), 0o644))
	var got []generate.Drift
	for _, f := range scan().Drifts {
		if f.Kind == generate.KindCognitive {
			got = append(got, f)
		}
	}
	want := []generate.Drift{{
		Kind: generate.KindCognitive, Severity: event.SeverityMedium, Check: "G0-AUD-011", Text: soul + " was changed", Agent: "support", Path: soul,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What the scan before kept cannot be read now, is broken, or is of another: the
// first is an error and the file stays, the others are told.
func TestScanDoesNotForgetInSilence(t *testing.T) {
	dir := t.TempDir()
	d := deployment.Default()
	d.AgentDataPath = filepath.Join(dir, "agents")
	d.Agents = []deployment.Agent{{ID: "support"}}
	must(t, os.MkdirAll(d.AgentDataPath+"/support", 0o755))
	must(t, os.WriteFile(dir+"/SOUL.md", nil, 0o644))
	o := probe.DefaultOptions(&d)
	o.Docker, o.Tetragon, o.Proc, o.Falco = "", "", t.TempDir(), t.TempDir()
	if found, _, err := Scan(t.Context(), o, dir+"/SOUL.md/x"); err == nil {
		t.Errorf("cannot be read: %+v", found)
	}
	kept := filepath.Join(dir, "scan.json")
	must(t, os.WriteFile(kept, []byte("{"), 0o600))
	found, keep, err := Scan(t.Context(), o, kept)
	must(t, err)
	if !found.First || len(found.Blind) != 1 || found.Blind[0].Check != "drift" {
		t.Errorf("broken: %+v", found)
	}
	must(t, keep())
	must(t, os.RemoveAll(d.AgentDataPath))
	must(t, os.Remove(dir+"/SOUL.md"))
	d.StatePath = dir + "/gone"
	found, _, err = Scan(t.Context(), o, kept)
	must(t, err)
	var blind []string
	for _, b := range found.Blind {
		blind = append(blind, b.Check)
	}
	if !slices.Contains(blind, "G0-AUD-011") && !slices.Contains(blind, "G0-AUD-014") {
		t.Errorf("blind: %+v", found.Blind)
	}
}
