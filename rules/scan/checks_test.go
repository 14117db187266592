package scan

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/openclaw"
)

func two() *deployment.Deployment {
	d := deployment.Default()
	d.AgentDataPath = "/srv/.openclaw/agents"
	d.Agents = []deployment.Agent{{ID: "main"}, {ID: "support"}}
	return &d
}

func parsed(t *testing.T, text string) Fact[*openclaw.Config] {
	t.Helper()
	c, err := openclaw.ParseConfig("openclaw.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Of(c)
}

func ptr[T any](v T) *T { return &v }

func TestWhatNobodyLookedAtNeverPasses(t *testing.T) {
	for _, c := range Checks {
		if r := c.Look(&Facts{Deployment: two()}); r.Status == Pass || r.Status == Fail || len(r.Evidence) == 0 {
			t.Errorf("%s: %+v without a fact", c.ID, r)
		}
	}
}

func TestChecksAreNumberedAndWritten(t *testing.T) {
	for i, c := range Checks {
		if want := fmt.Sprintf("G0-AUD-%03d", i+1); c.ID != want {
			t.Errorf("%s is in the place of %s", c.ID, want)
		}
		if !slices.Contains(Severities, c.Severity) || c.Title == "" || !strings.HasSuffix(c.Remedy, ".") || strings.HasSuffix(c.Title, ".") {
			t.Errorf("%s: %+v", c.ID, c)
		}
	}
}

func TestChecks(t *testing.T) {
	conn := func(agent, to string) Connection {
		return Connection{Agent: agent, Protocol: "tcp", Remote: netip.MustParseAddrPort(to)}
	}
	with := func(change func(*deployment.Deployment)) *deployment.Deployment {
		d := two()
		change(d)
		return d
	}
	deny := []string{"-A G0-EGRESS-DENY -j REJECT --reject-with icmp-port-unreachable"}
	user := []string{"-A FORWARD -j DOCKER-USER"}
	jump := map[string][]string{"FORWARD": user, "DOCKER-USER": {"-A DOCKER-USER -j G0-EGRESS", "-A DOCKER-USER -j RETURN"}, "G0-EGRESS-DENY": deny}
	plain := map[string][]string{"FORWARD": {"-A FORWARD -j G0-EGRESS"}, "G0-EGRESS": {"-A G0-EGRESS -j DROP"}}
	aside := map[string][]string{"FORWARD": {"-A FORWARD -j ACCEPT", "-A FORWARD -j DOCKER-USER"}, "DOCKER-USER": jump["DOCKER-USER"]}
	logs := map[string][]string{"FORWARD": user, "DOCKER-USER": {"-A DOCKER-USER -j G0-EGRESS"}, "G0-EGRESS-DENY": {"-A G0-EGRESS-DENY -j LOG"}}
	late := map[string][]string{"FORWARD": user, "DOCKER-USER": {"-A DOCKER-USER -j RETURN", "-A DOCKER-USER -j G0-EGRESS"}}
	tests := []struct {
		id    string
		name  string
		facts Facts
		want  Status
		says  string // in the evidence
	}{
		{"001", "all", Facts{Want: Want{AuditRules: []string{"-w /a -p r -k g0_x"}}, Audit: Of([]string{"-w /b", "-w /a -p r -k g0_x"})}, Pass, "all 1"},
		{"001", "one lacks", Facts{Want: Want{AuditRules: []string{"-w /a", "-w /b"}}, Audit: Of([]string{"-w /b"})}, Fail, "not loaded: -w /a"},
		{"001", "none", Facts{Want: Want{AuditRules: []string{"-w /a"}}, Audit: Of([]string(nil))}, Fail, "none of 1"},
		{"001", "not root", Facts{Want: Want{AuditRules: []string{"-w /a"}}, Audit: Unknown[[]string]("run as root")}, NotKnown, "run as root"},

		{"002", "Tetragon", Facts{Want: Want{Policies: []string{"p"}}, Tetragon: Of([]Policy{{Name: "p-0a1b", Enabled: true}})}, Pass, "all 1"},
		{"002", "Tetragon, another's", Facts{Want: Want{Policies: []string{"p"}}, Tetragon: Of([]Policy{{Name: "px", Enabled: true}}), Falco: Of(Falco{})}, Fail, "lacks p"},
		{"002", "Tetragon, not loaded", Facts{Want: Want{Policies: []string{"p"}}, Tetragon: Of([]Policy{{Name: "p", Trouble: "no hook"}}), Falco: Of(Falco{})}, Fail, "no hook"},
		{"002", "Falco", Facts{Want: Want{FalcoRules: []string{"r"}}, Falco: Of(Falco{Running: true, Rules: []string{"r"}})}, Pass, "all 1"},
		{"002", "Falco without ours", Facts{Want: Want{Policies: []string{"p"}, FalcoRules: []string{"r"}}, Tetragon: Of([]Policy{}), Falco: Of(Falco{Running: true})}, Fail, "Falco lacks r"},
		{"002", "one not known", Facts{Tetragon: Unknown[[]Policy]("no answer"), Falco: Of(Falco{})}, NotKnown, "no answer"},

		{"003", "first in both", Facts{Firewall: Firewall{V4: Of(jump), V6: Of(jump)}}, Pass, "the first"},
		{"003", "without Docker", Facts{Firewall: Firewall{V4: Of(plain), V6: Of(plain)}}, Pass, "first in FORWARD"},
		{"003", "behind FORWARD's own", Facts{Firewall: Firewall{V4: Of(aside), V6: Of(jump)}}, Fail, "does not begin with that"},
		{"003", "observes", Facts{Firewall: Firewall{V4: Of(logs), V6: Of(logs)}}, Fail, "only logs"},
		{"003", "nftables", Facts{Firewall: Firewall{NFT: Of([]Table{{"docker", true}, {"g0_egress", true}})}}, Pass, "nftables"},
		{"003", "nftables observes", Facts{Firewall: Firewall{NFT: Of([]Table{{"g0_egress", false}})}}, Fail, "only logs"},
		{"003", "behind RETURN", Facts{Firewall: Firewall{V4: Of(late), V6: Of(jump)}}, Fail, "number 2"},
		{"003", "v6 open", Facts{Firewall: Firewall{V4: Of(jump), V6: Of(map[string][]string{})}}, Fail, "ip6tables: nothing"},
		{"003", "v6 not known", Facts{Firewall: Firewall{V4: Of(jump)}}, NotKnown, "ip6tables"},
		{"003", "Tetragon enforces", Facts{Tetragon: Of([]Policy{{Name: deployment.PolicyEgress, Enabled: true, Enforcing: true}})}, Pass, "Tetragon"},
		{"003", "Tetragon observes", Facts{Tetragon: Of([]Policy{{Name: deployment.PolicyEgress, Enabled: true}}), Firewall: Firewall{V4: Of(late), V6: Of(late)}}, Fail, "number 2"},

		{"004", "the socket", Facts{Containers: Of([]Container{{Name: "c", Mounts: []string{"/run/docker.sock"}}})}, Fail, "/run/docker.sock"},
		{"004", "the folder above", Facts{Containers: Of([]Container{{Name: "c", Mounts: []string{"/var/run"}}})}, Fail, "/var/run"},
		{"004", "all of the host", Facts{Containers: Of([]Container{{Name: "c", Mounts: []string{"/"}}})}, Fail, "sees /"},
		{"004", "a folder of a like name", Facts{Containers: Of([]Container{{Name: "c", Mounts: []string{"/var/running", "/srv"}}})}, Pass, "none of 1"},

		{"005", "no user", Facts{Containers: Of([]Container{{Name: "c"}})}, Fail, "container c"},
		{"005", "root by name", Facts{Containers: Of([]Container{{Name: "c", User: "root:node"}})}, Fail, "container c"},
		{"005", "a process", Facts{Processes: Of([]Process{{PID: 7, Comm: "node"}})}, Fail, "process 7"},
		{"005", "node", Facts{Containers: Of([]Container{{Name: "c", User: "1000"}}), Processes: Of([]Process{{UID: 1000}})}, Pass, "2"},

		{"005", "containers that nobody could see", Facts{
			Deployment: with(func(d *deployment.Deployment) { d.Agents[0].Containers = []deployment.Container{{Name: "c"}} }),
			Processes:  Of([]Process{{UID: 1000}}),
		}, NotKnown, "nobody looked"},
		{"006", "seen open", Facts{Settings: parsed(t, `{gateway:{bind:"loopback"}}`), Listeners: Of([]netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:18789")})}, Fail, "0.0.0.0"},
		{"006", "loopback", Facts{Settings: parsed(t, `{gateway:{bind:"loopback"}}`)}, Pass, "loopback"},
		{"006", "lan", Facts{Settings: parsed(t, `{gateway:{bind:"lan"}}`)}, Fail, "lan"},
		{"006", "unset in a container", Facts{Settings: parsed(t, `{}`), Containers: Of([]Container{{Name: "gw"}})}, Fail, "every address"},
		{"006", "unset, seen on loopback", Facts{Settings: parsed(t, `{}`), Containers: Of([]Container{}), Listeners: Of([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:18789")})}, Pass, "127.0.0.1"},
		{"006", "unset, no container of the description's", Facts{Settings: parsed(t, `{}`), Containers: Of([]Container{})}, NotKnown, "in a container is every address"},
		{"006", "auto, seen on loopback", Facts{Settings: parsed(t, `{gateway:{bind:"auto"}}`), Containers: Of([]Container{}), Listeners: Of([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:18789")})}, Pass, "127.0.0.1"},
		{"006", "in another file", Facts{Settings: parsed(t, `{gateway:{$include:"./x"}}`), Containers: Of([]Container{{Name: "gw"}})}, NotKnown, ""},
		{"006", "on the internet", Facts{Settings: parsed(t, `{gateway:{bind:"loopback",tailscale:{mode:"funnel"}}}`)}, Fail, "funnel"},
		{"006", "a zone of escapes", Facts{Settings: parsed(t, `{gateway:{bind:"custom",customBindHost:"::1%\u001b[31m"}}`)}, Pass, `\x1b[31m`},
		{"006", "unset, who knows where", Facts{Settings: parsed(t, `{}`)}, NotKnown, "nobody looked"},
		{"006", "custom, loopback", Facts{Settings: parsed(t, `{gateway:{bind:"custom",customBindHost:"::1"}}`)}, Pass, "::1"},
		{"006", "custom", Facts{Settings: parsed(t, `{gateway:{bind:"custom",customBindHost:"10.0.0.1"}}`)}, Fail, "10.0.0.1"},

		{"007", "unset in a container", Facts{Settings: parsed(t, `{}`), Containers: Of([]Container{{Name: "gw"}})}, Fail, "unset"},
		{"007", "on the host", Facts{Settings: parsed(t, `{}`), Containers: Of([]Container{}), Listeners: Of([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:18789")})}, NotApplicable, "host"},
		{"007", "who knows where", Facts{Settings: parsed(t, `{}`), Containers: Of([]Container{})}, NotKnown, "not known"},
		{"007", "set", Facts{Settings: parsed(t, `{gateway:{bind:"lan"}}`)}, Pass, "lan"},

		{"008", "none", Facts{Settings: parsed(t, `{gateway:{auth:{mode:"none"}}}`)}, Fail, "none"},
		{"008", "token", Facts{Settings: parsed(t, `{gateway:{auth:{mode:"token"}}}`)}, Pass, "token"},
		{"008", "unset", Facts{Settings: parsed(t, `{}`)}, NotKnown, "environment"},

		{"009", "open to all", Facts{Files: Of([]File{{Path: "/s", Agent: "main", Kind: Session, Mode: 0o644, World: true}})}, Fail, "0644"},
		{"009", "one uid", Facts{
			Deployment: with(func(d *deployment.Deployment) { d.Gateway.UID = ptr(1000) }),
			Settings:   parsed(t, `{}`), Files: Of([]File{{Path: "/s", Agent: "main", Kind: Session, Readers: []int{1000}}}),
		}, Fail, "main, support run as uid 1000"},
		{"009", "one uid, sandboxed", Facts{
			Deployment: with(func(d *deployment.Deployment) { d.Gateway.UID = ptr(1000) }),
			Settings:   parsed(t, `{agents:{defaults:{sandbox:{mode:"all"}}}}`), Files: Of([]File{{Path: "/s", Agent: "main", Kind: Session, Readers: []int{1000}}}),
		}, Pass, "1 files"},
		{"009", "own uids", Facts{
			Deployment: with(func(d *deployment.Deployment) { d.Agents[0].UID, d.Agents[1].UID = ptr(1), ptr(2) }),
			Files:      Of([]File{{Path: "/s", Agent: "main", Kind: Session, Readers: []int{1}}}),
		}, Pass, "1 files"},
		{"009", "by group", Facts{
			Deployment: with(func(d *deployment.Deployment) { d.Agents[0].UID, d.Agents[1].UID = ptr(1), ptr(2) }),
			Files:      Of([]File{{Path: "/s", Agent: "main", Kind: Session, Readers: []int{1, 2}}}),
		}, Fail, "agent support (uid 2)"},
		{"009", "uids not known", Facts{Files: Of([]File{{Path: "/s", Agent: "main", Kind: Session}})}, NotKnown, "uids"},
		{"009", "one uid, by the files' owner", Facts{
			Settings: parsed(t, `{}`),
			Files:    Of([]File{{Path: "/s", Agent: "main", Kind: Session, UID: 7}, {Path: "/t", Agent: "support", Kind: Credential, UID: 7}}),
		}, Fail, "main, support run as uid 7"},
		{"009", "two owners", Facts{
			Settings: parsed(t, `{}`),
			Files:    Of([]File{{Path: "/s", Agent: "main", Kind: Session, UID: 7}, {Path: "/t", Agent: "main", Kind: Session, UID: 8}}),
		}, NotKnown, "uids"},
		{"010", "other files", Facts{Files: Of([]File{{Path: "/s", Kind: Session, World: true}})}, NotApplicable, "no such file"},

		{"011", "first scan", Facts{Files: Of([]File{{Path: "/SOUL.md", Kind: Cognitive, Hash: "1"}})}, NotKnown, "1 files are known from now on"},
		{"011", "same", Facts{Files: Of([]File{{Path: "/SOUL.md", Kind: Cognitive, Hash: "1"}}), Before: Of(map[string]string{"/SOUL.md": "1"})}, Pass, "none changed"},
		{"011", "changed", Facts{Files: Of([]File{{Path: "/SOUL.md", Kind: Cognitive, Hash: "2"}}), Before: Of(map[string]string{"/SOUL.md": "1"})}, Fail, "/SOUL.md was changed"},
		{"011", "in a folder that was missed", Facts{
			Files: Of([]File{}), Before: Of(map[string]string{"/w/SOUL.md": "1"}), Missed: []Missed{{"/w", "too deep"}},
		}, NotKnown, "not all of /w was looked at: too deep"},
		{"011", "beside one that was missed", Facts{
			Files: Of([]File{{Path: "/v/SOUL.md", Kind: Cognitive, Hash: "2"}}), Before: Of(map[string]string{"/v/SOUL.md": "1"}), Missed: []Missed{{"/w", "too deep"}},
		}, Fail, "/v/SOUL.md was changed"},
		{"011", "became a link", Facts{
			Files: Of([]File{{Path: "/SOUL.md", Kind: Cognitive, Hash: "2", HashWhy: "a link"}}), Before: Of(map[string]string{"/SOUL.md": "1"}),
		}, Fail, "/SOUL.md was changed"},
		{"011", "is a link", Facts{
			Files: Of([]File{{Path: "/SOUL.md", Kind: Cognitive, Hash: "2", HashWhy: "a link"}}), Before: Of(map[string]string{"/SOUL.md": "2"}),
		}, NotKnown, "a link"},
		{"011", "unreadable", Facts{Files: Of([]File{{Path: "/SOUL.md", Kind: Cognitive, HashWhy: "denied"}}), Before: Of(map[string]string{"/SOUL.md": "1"})}, NotKnown, "denied"},

		{"012", "shared", Facts{Secrets: Of(Secrets{Found: []Secret{{"m", "main", "/a", "key"}, {"m", "support", "/b", "key"}}})}, Fail, "/a at key, /b at key"},
		{"012", "of one, twice", Facts{Secrets: Of(Secrets{Found: []Secret{{"m", "main", "/a", "key"}, {"m", "main", "/b", "key"}}})}, Pass, "none"},
		{"012", "a database", Facts{Secrets: Of(Secrets{Unread: []string{"/a.sqlite: not read"}})}, NotKnown, "sqlite"},
		{"013", "a key", Facts{Files: Of([]File{{Path: "/m/models.json", Kind: Models}}), Secrets: Of(Secrets{Found: []Secret{{"m", "main", "/m/models.json", "p.apiKey"}}})}, Fail, "p.apiKey"},
		{"013", "broken", Facts{Files: Of([]File{{Path: "/m/models.json", Kind: Models}}), Secrets: Of(Secrets{Unread: []string{"/m/models.json: it is not JSON"}})}, NotKnown, "not JSON"},
		{"013", "missed", Facts{Files: Of([]File{}), Secrets: Of(Secrets{}), Missed: []Missed{{"/w", "too deep"}}}, NotKnown, "/w"},
		{"013", "clean", Facts{Files: Of([]File{{Path: "/m/models.json", Kind: Models}}), Secrets: Of(Secrets{})}, Pass, "none"},
		{"014", "left over", Facts{Files: Of([]File{{Path: "/x.migrated", Kind: Leftover}})}, Fail, "/x.migrated"},
		{"014", "missed", Facts{Files: Of([]File{}), Missed: []Missed{{"/w", "too deep"}}}, NotKnown, "/w"},
		{"014", "none", Facts{Files: Of([]File{})}, Pass, "none"},

		{"015", "the default", Facts{Settings: parsed(t, `{}`)}, Fail, "tools.exec.security is unset, which means full"},
		{"015", "listed", Facts{Settings: parsed(t, `{tools:{exec:{security:"allowlist"}}}`)}, Pass, "allowlist"},
		{"015", "open for one", Facts{Settings: parsed(t, `{tools:{exec:{security:"deny"}},agents:{entries:{main:{tools:{exec:{security:"full"}}}}}}`)}, Fail, "tools.exec.security of agent main"},
		{"015", "open for one, old", Facts{Settings: parsed(t, `{tools:{exec:{security:"deny"}},agents:{list:[{id:"main",tools:{exec:{security:"full"}}}]}}`)}, Fail, "tools.exec.security of agent main"},
		{"015", "by mode", Facts{Settings: parsed(t, `{tools:{exec:{mode:"ask",security:"full"}}}`)}, Pass, "mode is ask"},
		{"015", "by mode, open", Facts{Settings: parsed(t, `{tools:{exec:{mode:"full",security:"deny"}}}`)}, Fail, "mode is full"},
		{"015", "by mode, which the old one does not know", Facts{Settings: parsed(t, `{meta:{lastTouchedVersion:"2026.3.13"},tools:{exec:{mode:"ask"}}}`)}, Fail, "security is unset"},
		{"015", "by mode, and it is known", Facts{Settings: parsed(t, `{meta:{lastTouchedVersion:"2026.9.6"},tools:{exec:{mode:"ask"}}}`)}, Pass, "mode is ask"},
		{"015", "by mode for all, open for one", Facts{Settings: parsed(t, `{tools:{exec:{mode:"deny"}},agents:{entries:{main:{tools:{exec:{security:"full"}}}}}}`)}, Fail, "security of agent main is full"},
		{"015", "by a variable", Facts{Settings: parsed(t, `{tools:{exec:{security:"${X}"}}}`)}, NotKnown, "${X}"},
		{"015", "another form", Facts{Settings: parsed(t, `{tools:{exec:{security:"deny"}},agents:{entries:{main:{tools:7}}}}`)}, NotKnown, "agents.entries.main.tools"},
		{"015", "another file", Facts{Settings: parsed(t, `{$include:"./x",tools:{exec:{security:"deny"}}}`)}, NotKnown, "$include"},
		{"016", "the default", Facts{Settings: parsed(t, `{}`)}, Fail, "unset, which means off"},
		{"016", "always", Facts{Settings: parsed(t, `{tools:{exec:{ask:"always"}}}`)}, Pass, "always"},
		{"017", "the default", Facts{Settings: parsed(t, `{}`)}, Fail, "sandbox.mode is unset, which means off"},
		{"017", "non-main", Facts{Settings: parsed(t, `{agents:{defaults:{sandbox:{mode:"non-main"}}}}`)}, Fail, "non-main"},
		{"018", "the default", Facts{Settings: parsed(t, `{}`)}, Fail, "unset, which means true"},
		{"018", "off", Facts{Settings: parsed(t, `{tools:{elevated:{enabled:false}}}`)}, Pass, "false"},
		{"019", "the default", Facts{Settings: parsed(t, `{}`)}, Fail, "unset, which means true"},
		{"019", "one agent", Facts{Deployment: with(func(d *deployment.Deployment) { d.Agents = d.Agents[:1] }), Settings: parsed(t, `{}`)}, NotApplicable, "one agent"},
		{"019", "listed", Facts{Settings: parsed(t, `{tools:{agentToAgent:{allow:["main"]}}}`)}, Pass, "lists"},
		{"019", "a star", Facts{Settings: parsed(t, `{tools:{agentToAgent:{allow:["*"]}}}`)}, Fail, "unset"},
		{"020", "the default", Facts{Settings: parsed(t, `{}`)}, Fail, "all"},

		{"021", "container", Facts{Containers: Of([]Container{{Name: "gw", EnvNames: []string{"OPENCLAW_GATEWAY_TOKEN"}}})}, Fail, "container gw has OPENCLAW_GATEWAY_TOKEN"},
		{"021", "process", Facts{Processes: Of([]Process{{PID: 7, Comm: "bash", EnvNames: []string{"OPENCLAW_GATEWAY_PASSWORD"}}})}, Fail, "process 7"},
		{"021", ".env", Facts{EnvFile: Of([]string{"OPENCLAW_GATEWAY_TOKEN"})}, Fail, ".env"},
		{"021", "none", Facts{Containers: Of([]Container{{Name: "gw", EnvNames: []string{"PATH"}}})}, Pass, "no container"},
		{"021", "nothing seen", Facts{Containers: Of([]Container{}), Processes: Of([]Process{})}, NotKnown, "there are none"},

		{"022", "open", Facts{Settings: parsed(t, `{channels:{telegram:{dmPolicy:"open"}}}`)}, Fail, "channels.telegram.dmPolicy is open"},
		{"022", "another form", Facts{Settings: parsed(t, `{channels:{telegram:{dmPolicy:7}}}`)}, NotKnown, "channels.telegram.dmPolicy"},
		{"022", "groups by default", Facts{Settings: parsed(t, `{channels:{defaults:{groupPolicy:"open"},telegram:{}}}`)}, Fail, "means open"},
		{"022", "a list with everybody", Facts{Settings: parsed(t, `{channels:{telegram:{dmPolicy:"allowlist",allowFrom:["*"]}}}`)}, Fail, "allowFrom is open to everybody"},
		{"022", "a default with escapes", Facts{Settings: parsed(t, `{channels:{defaults:{groupPolicy:"\u001b[31m"},telegram:{}}}`)}, Fail, `means "\x1b[31m"`},
		{"022", "switched off", Facts{Settings: parsed(t, `{channels:{telegram:{enabled:false,dmPolicy:"open"}}}`)}, NotApplicable, "no channel"},
		{"022", "the defaults", Facts{Settings: parsed(t, `{channels:{telegram:{}}}`)}, Pass, "pairing"},
		{"023", "empty", Facts{Settings: parsed(t, `{plugins:{allow:[]}}`)}, Fail, "empty"},
		{"023", "listed", Facts{Settings: parsed(t, `{plugins:{allow:["x"]}}`)}, Pass, "lists"},
		{"024", "bpf", Facts{LSM: Of([]string{"lockdown", "bpf"})}, Pass, "bpf"},
		{"024", "no bpf", Facts{LSM: Of([]string{"lockdown"})}, Fail, "lockdown"},

		{"025", "no list", Facts{Connections: Of([]Connection{conn("", "192.0.2.1:443")})}, NotApplicable, "no allow list"},
		{"025", "outside", Facts{
			Deployment:  with(func(d *deployment.Deployment) { d.Egress.Allow = []string{"192.0.2.0/24", "198.51.100.1:443"} }),
			Connections: Of([]Connection{conn("main", "192.0.2.1:80"), conn("main", "198.51.100.1:80"), conn("", "127.0.0.1:1")}),
		}, Fail, "agent main: tcp to 198.51.100.1:80"},
		{"025", "v4-mapped is v4", Facts{
			Deployment:  with(func(d *deployment.Deployment) { d.Egress.Allow = []string{"192.0.2.0/24"} }),
			Connections: Of([]Connection{conn("main", "[::ffff:192.0.2.1]:80")}),
		}, Pass, "1 connections"},
		{"025", "a name may be behind it", Facts{
			Deployment:  with(func(d *deployment.Deployment) { d.Egress.Allow = []string{"*.example.com"} }),
			Connections: Of([]Connection{conn("", "192.0.2.1:80")}),
		}, NotKnown, "the gateway: tcp to 192.0.2.1:80"},
		{"025", "resolver and bridge", Facts{
			Deployment: with(func(d *deployment.Deployment) {
				d.Egress = deployment.Egress{Allow: []string{"192.0.2.0/24"}, Resolvers: []string{"9.9.9.9", "[2620:fe::fe]:853"}}
				d.Networks = []deployment.Network{{Subnets: []string{"172.18.0.0/16"}}}
			}),
			Connections: Of([]Connection{conn("", "9.9.9.9:53"), conn("", "[2620:fe::fe]:853"), conn("", "172.18.0.3:80")}),
		}, Pass, "3 connections"},
	}
	for _, tt := range tests {
		t.Run(tt.id+" "+tt.name, func(t *testing.T) {
			at := slices.IndexFunc(Checks, func(c Check) bool { return c.ID == "G0-AUD-"+tt.id })
			if tt.facts.Deployment == nil {
				tt.facts.Deployment = two()
			}
			got := Checks[at].Look(&tt.facts)
			if got.Status != tt.want || !strings.Contains(strings.Join(got.Evidence, "; "), tt.says) {
				t.Errorf("%s %q, want %s with %q", got.Status, got.Evidence, tt.want, tt.says)
			}
		})
	}
}

func TestEvidenceIsBoundedAndShowable(t *testing.T) {
	var files []File
	for i := range 1000 {
		files = append(files, File{Path: fmt.Sprintf("/\x1b[31m\u202e%03d.migrated", i), Kind: Leftover})
	}
	got := noLeftovers(&Facts{Deployment: two(), Files: Of(files)})
	if len(got.Evidence) != maxEvidence+1 || got.Evidence[maxEvidence] != "and 980 more" {
		t.Errorf("%d pieces of evidence, the last %q", len(got.Evidence), got.Evidence[len(got.Evidence)-1])
	}
	if odd := regexp.MustCompile(`[\x00-\x1f\x{202e}]`).FindString(strings.Join(got.Evidence, "")); odd != "" {
		t.Errorf("evidence holds %q", odd)
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                   "plain",
		"":                        `""`,
		"a b":                     "a b",
		"line\nbreak":             `"line\nbreak"`,
		`"quoted"`:                `"\"quoted\""`,
		"bidi\u202e":              `"bidi\u202e"`,
		"\xff":                    `"\xff"`,
		strings.Repeat("x", 1000): strings.Repeat("x", 512) + " (and 488 bytes more)",
	} {
		if diff := cmp.Diff(want, Name(in)); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{agents:{list:[{id:"a",tools:3}],entries:{b:null}},channels:{x:[],y:{dmPolicy:1}},plugins:{allow:"x"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := openclaw.ParseConfig("openclaw.json", b)
		if err != nil {
			return
		}
		for _, check := range Checks {
			r := check.Look(&Facts{Deployment: two(), Settings: Of(c)})
			if r.Status == "" || strings.ContainsFunc(strings.Join(r.Evidence, ""), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%s: %+v", check.ID, r)
			}
		}
	})
}
