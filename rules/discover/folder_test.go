package discover

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// tree makes files and folders (with a slash at the end) in a folder of the test's
// and gives its path without links.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		folder := strings.HasSuffix(name, "/")
		if !folder {
			path = filepath.Dir(path)
		}
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if !folder {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func kinds(all []Finding) []string {
	var out []string
	for _, f := range all {
		out = append(out, f.Kind+" "+filepath.Base(f.What))
	}
	return out
}

// The same two agents in both layouts, of a gateway that sees them in its image's
// state folder.
func TestFolderOfBothLayouts(t *testing.T) {
	const entry = `"workspace": "/home/node/.openclaw/workspace-support", "agentDir": "/home/node/.openclaw/agents/support/agent"`
	for _, tc := range []struct {
		name, config string
		findings     []string
	}{
		{"entries", `{"agents": {"entries": {"research": {}, "support": {` + entry + `}}}, "gateway": {"port": 18790, "bind": "lan"}, "logging": {"file": "/srv/log"}}`, nil},
		{"list", `{"agents": {"list": [{"id": "research"}, {"id": "support", ` + entry + `}]}, "gateway": {"port": 18790, "bind": "lan"}, "logging": {"file": "/srv/log"}}`, nil},
		{"odd keys", `{agents: {entries: {research: {}, support: {` + entry + `}, "../x": {}}}, gateway: {port: 18790, bind: "lan", auth: 1}, logging: {file: "/srv/log"}}`,
			[]string{"config openclaw.json", `name ../x`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := tree(t, map[string]string{"openclaw.json": tc.config, "agents/research/agent/": "", "agents/support/": "", "workspace-research/": ""})
			found, err := Folder(t.Context(), filepath.Join(dir, "agents"))
			if err != nil {
				t.Fatal(err)
			}
			want := deployment.Default()
			want.AgentDataPath = dir + "/agents"
			want.Mounts = []deployment.Mount{{Host: dir, Container: "/home/node/.openclaw"}}
			want.Agents = []deployment.Agent{
				{ID: "research", Workspace: dir + "/workspace-research"},
				{ID: "support", Workspace: dir + "/workspace-support"},
			}
			want.Gateway.Port, want.Gateway.Bind = 18790, "lan"
			want.Logs = append(want.Logs, "/srv/log")
			if diff := cmp.Diff(want, *found.Deployment); diff != "" {
				t.Error(diff)
			}
			if tc.name == "odd keys" {
				tc.findings[1] = "name " + filepath.Base("../x")
			}
			if diff := cmp.Diff(tc.findings, kinds(found.Findings)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What stands among the agents' folders may have been put there by one of them.
func TestFolderWithHostileEntries(t *testing.T) {
	dir := tree(t, map[string]string{
		"agents/good/": "", "agents/a file": "", "agents/$(id)/": "", "agents/a\nb\x1b[2J/": "", "agents/-rf/": "", "agents/\u202egpj/": "",
		"agents/" + strings.Repeat("x", 200) + "/": "", "secret/agents/x/": "", "agents/.keep": "",
		"openclaw.json": `{agents: {entries: {good: {workspace: "/"}, other: {workspace: "../../etc"}, third: {workspace: "/tmp/../etc/$(id)"},
			fourth: {workspace: "~/.openclaw/agents/good"}}}, gateway: {port: 0, bind: "x\u001b"}, logging: {file: "/var/*/x"}}`,
	})
	agents := filepath.Join(dir, "agents")
	for _, err := range []error{
		os.Symlink("../secret/agents/x", filepath.Join(agents, "in")),
		os.Symlink("/etc", filepath.Join(agents, "out")),
		os.Symlink("loop", filepath.Join(agents, "loop")),
		syscall.Mkfifo(filepath.Join(agents, "pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	found, err := Folder(t.Context(), agents)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found.Findings {
		for _, r := range f.String() {
			if r < ' ' || r > '~' {
				t.Errorf("%q is not plain", f.String())
			}
		}
		if f.Kind != KindConfig {
			got = append(got, f.Kind+" "+strings.Replace(f.What, agents+"/", "", 1))
		}
	}
	slices.Sort(got)
	want := []string{
		`file a file`, "file pipe", "link in", "link loop", "link out",
		"name $(id)", "name -rf", `name "\u202egpj"`, `name "a\nb\x1b[2J"`, `name ` + strings.Repeat("x", 200),
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantAgents := []deployment.Agent{{ID: "fourth"}, {ID: "good"}, {ID: "other"}, {ID: "third", Workspace: "/etc/$(id)"}}
	if diff := cmp.Diff(wantAgents, found.Deployment.Agents); diff != "" {
		t.Error(diff)
	}
	if found.Deployment.Gateway.Port != 18789 || found.Deployment.Gateway.Bind != "" {
		t.Errorf("%+v", found.Deployment.Gateway)
	}
}

func TestFolderErrors(t *testing.T) {
	dir := tree(t, map[string]string{
		"empty/agents/": "", "file/agents": "", "broken/agents/a/": "", "broken/openclaw.json": "{\n  gateway: {", "folder/agents/a/": "", "folder/openclaw.json/": "",
		"state/openclaw.json": "{}", "state/agents/a/": "", "links/agents/": "",
	})
	for _, err := range []error{
		os.Symlink("loop", filepath.Join(dir, "loop")),
		os.Symlink("/etc", filepath.Join(dir, "links/agents/x")),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"gone": "no such file or directory", "file/agents": "is no folder", "empty/agents": "has no folder of an agent", "loop": "too many links",
		"broken/agents": "openclaw.json:2:12: is no JSON5", "folder/agents": "it is no file", "state": "is OpenClaw's state folder: its agents are in",
		"links/agents": "is a link and not followed", "pipe": "is no folder",
	} {
		_, err := Folder(t.Context(), filepath.Join(dir, name))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Folder(ctx, filepath.Join(dir, "state/agents")); err == nil {
		t.Error("no error after the end")
	}
}

func TestFolderWithoutConfig(t *testing.T) {
	dir := tree(t, map[string]string{"agents/a/": "", "workspace-a/": ""})
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "openclaw.json")); err != nil {
		t.Fatal(err)
	}
	found, err := Folder(t.Context(), filepath.Join(dir, "agents"))
	if err != nil {
		t.Fatal(err)
	}
	if found.Config != nil || len(found.Deployment.Agents) != 1 {
		t.Errorf("%+v", found)
	}
	if diff := cmp.Diff([]string{"link openclaw.json"}, kinds(found.Findings)); diff != "" {
		t.Error(diff)
	}
}

func TestFolderOfTooManyAgents(t *testing.T) {
	files := map[string]string{"openclaw.json": "{agents: {entries: {zz: {}}}}"}
	for i := range 200 {
		files[fmt.Sprintf("agents/a%03d/", i)] = ""
	}
	dir := tree(t, files)
	f := folder{path: dir + "/agents", state: dir, most: 150}
	found, err := f.discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(found.Deployment.Agents); n != 150 {
		t.Errorf("%d agents", n)
	}
	bounds := 0
	for _, one := range found.Findings {
		if one.Kind == KindBound {
			bounds++
		}
	}
	if len(found.Findings) > maxFindings+4 || bounds != 3 { // folders, an agent of the file, findings
		t.Errorf("%d findings, %d of bounds", len(found.Findings), bounds)
	}
}

func TestSlowFolderOfManyAgents(t *testing.T) {
	if os.Getenv("G0_SLOW") == "" {
		t.Skip("G0_SLOW is not set: make test-slow sets it")
	}
	dir := tree(t, map[string]string{"agents/": ""})
	for i := range deployment.MaxAgents {
		if err := os.Mkdir(fmt.Sprintf("%s/agents/a%06d", dir, i), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	found, err := Folder(t.Context(), filepath.Join(dir, "agents"))
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 20*time.Second || len(found.Deployment.Agents) != deployment.MaxAgents {
		t.Errorf("%d agents in %s", len(found.Deployment.Agents), took)
	}
}
