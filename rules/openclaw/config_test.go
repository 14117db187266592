package openclaw

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/config"
)

func TestParseConfigOfBothLayouts(t *testing.T) {
	for _, tc := range []struct{ name, text string }{
		{"2026.9.6, JSON5", `
// made by hand: see /* below */
{
  gateway: {port: 18_789_0 /* no */},
}`},
		{"2026.9.6", `
/* ** see https://example.com/docs/config ** a / b */
{
  meta: {lastTouchedVersion: '2026.9.6'},
  gateway: {port: 18789, bind: "lan", auth: {mode: "token", token: "${OPENCLAW_GATEWAY_TOKEN}"}},
  agents: {
    defaults: {workspace: "/w"},
    entries: {research: {workspace: "/w/r", tools: {exec: {security: "allowlist"}}}, support: {}}, // two
  },
  models: {providers: {p: {apiKey: "sk-made-up"}}},
  channels: {defaults: {groupPolicy: "open"}, telegram: {enabled: false, allowFrom: [12345678901, "bob"], botToken: {source: "env", id: "T"}}},
}`},
		{"2026.3.13", `{
  "meta": {"lastTouchedVersion": "2026.9.6"},
  "gateway": {"port": 18789, "bind": "lan", "auth": {"mode": "token", "token": "${OPENCLAW_GATEWAY_TOKEN}"}},
  "agents": {"defaults": {"workspace": "/w"},
    "list": [{"id": "research", "workspace": "/w/r", "tools": {"exec": {"security": "allowlist"}}}, {"id": "support"}]},
  "models": {"providers": {"p": {"apiKey": "sk-made-up"}}},
  "channels": {"defaults": {"groupPolicy": "open"}, "telegram": {"enabled": false, "allowFrom": [12345678901, "bob"], "botToken": {"source": "env", "id": "T"}}}
}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := ParseConfig("openclaw.json", []byte(tc.text))
			if strings.Contains(tc.text, "18_789_0") {
				const want = `openclaw.json:4:21: is no JSON5: invalid character '_' after object key:value pair`
				if err == nil || err.Error() != want {
					t.Errorf("%v, want %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var want Config
			want.Meta.LastTouchedVersion = new("2026.9.6")
			want.Gateway.Port, want.Gateway.Bind = new(18789), new("lan")
			want.Gateway.Auth.Mode, want.Gateway.Auth.Token = new("token"), Secret{Elsewhere: true}
			want.Agents.Defaults.Workspace = new("/w")
			research := Agent{Workspace: new("/w/r")}
			research.Tools.Exec.Security = new("allowlist")
			want.Agents.Entries = map[string]Agent{"research": research, "support": {}}
			want.Agents.List = tc.name == "2026.3.13"
			want.Models.Providers = map[string]Provider{"p": {APIKey: Secret{Value: config.Secret("sk-made-up")}}}
			want.Channels.Defaults.GroupPolicy = new("open")
			want.Channels.ByName = map[string]Channel{"telegram": {
				Enabled: new(false), AllowFrom: []string{"12345678901", "bob"}, BotToken: Secret{Elsewhere: true},
			}}
			if diff := cmp.Diff(want, *c); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseConfigNotesWhatItCannotTake(t *testing.T) {
	c, err := ParseConfig("openclaw.json", []byte(`{
  $include: "more.json", Gateway: {port: 1}, gateway: {port: "18789", bind: 7, auth: []},
  tools: {elevated: {allowFrom: {}}, deny: ["a", {}]},
  agents: {list: [{name: "no id"}, 3, {id: "a"}, {id: "a", name: "again"}], defaults: {sandbox: {docker: {dangerouslyAllowX: true, dangerouslyAllowY: false}}}},
  plugins: {entries: {"a b": 1}},
}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"$include", "gateway.port", "gateway.bind", "gateway.auth", "tools.deny[1]", `plugins.entries."a b"`, "agents.list[0]", "agents.list[1]"}
	if diff := cmp.Diff(want, c.Odd); diff != "" {
		t.Error(diff)
	}
	if c.Gateway.Port != nil || c.Gateway.Bind != nil || !bool(c.Tools.Elevated.AllowFrom) || len(c.Agents.Entries) != 1 || c.Agents.Entries["a"].Name != nil {
		t.Errorf("%+v", c)
	}
	if diff := cmp.Diff([]string{"dangerouslyAllowX"}, c.Agents.Defaults.Sandbox.Docker.Dangerously); diff != "" {
		t.Error(diff)
	}
}

func TestParseConfigRefuses(t *testing.T) {
	deep := strings.Repeat("[", maxDepth+1)
	for _, tc := range []struct{ name, text, want string }{
		{"nothing", "", "c:1:1: is no JSON5: unexpected end of JSON input"},
		{"a list", "[]", "c: is not an object"},
		{"a secret in a broken line", "{\n token: \"sk-made-up\n\"}", `c:2:20: is no JSON5: invalid character '\n' in string literal`},
		{"too deep", "{a: // [\n" + deep, "c:2:200: nests deeper than 200"},
		{"too deep behind a return", "{a: // [\r" + deep, "c:1:209: nests deeper than 200"},
		{"a comment without an end", "{}\n/* {", "c:2:1: has a comment without an end"},
		{"cut off", `{"gateway": {`, "c:1:13: is no JSON5: unexpected end of JSON input"},
		{"too large", strings.Repeat(" ", MaxConfigSize+1), "c: is larger than 4194304 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseConfig("c", []byte(tc.text))
			if err == nil || err.Error() != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

func TestReadConfigOfOddFiles(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "folder"), 0o700),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600),
		os.Symlink("loop", filepath.Join(dir, "loop")),
		os.Symlink("/etc/hostname", filepath.Join(dir, "out")),
		os.WriteFile(filepath.Join(dir, "good"), []byte("{}"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, want := range map[string]string{
		"folder": "it is no file but d", "pipe": "it is no file but p", "loop": "too many levels of symbolic links",
		"gone": "no such file", "out": "escapes", "good": "",
	} {
		_, err := ReadConfigIn(root, name, filepath.Join(dir, name))
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if _, err := ReadConfig(filepath.Join(dir, name)); name != "out" && (want == "") != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParseConfig: no panic, and nothing deeper than the bound gets to where it is
// taken apart.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{a: [1, 'x', {"b": null}], /* * / */ // c
 $d: +Infinity, gateway: {port: 0x10, bind: "\u2028"}}`))
	f.Add([]byte(strings.Repeat("[", 300)))
	f.Add([]byte("{'a\\\r\n[': 1}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ParseConfig("c", b)
		if v, err := decode(b); err == nil && depth(v) > maxDepth {
			t.Errorf("nests %d deep", depth(v))
		}
	})
}

func depth(v any) int {
	deepest := -1
	switch v := v.(type) {
	case map[string]any:
		for _, m := range v {
			deepest = max(deepest, depth(m))
		}
	case []any:
		for _, m := range v {
			deepest = max(deepest, depth(m))
		}
	}
	return deepest + 1
}
