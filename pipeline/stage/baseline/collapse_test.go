package baseline

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestProgram(t *testing.T) {
	for in, want := range map[string]string{
		"/usr/bin/curl":                                "/usr/bin/curl",
		"/usr/bin/python3.11":                          "/usr/bin/python#",
		"/opt/node-v20.11.1/bin/node":                  "/opt/node-v#/bin/node",
		"/usr/bin/x86_64-linux-gnu-gcc-12":             "/usr/bin/x#_#-linux-gnu-gcc-#",
		"/usr/bin/nc.openbsd":                          "/usr/bin/nc.openbsd",
		"/proc/4711/exe":                               "/proc/#/exe",
		"/proc/self/exe":                               "/proc/self/exe",
		"/tmp/tmp.Xk3Bq9/run":                          "/tmp/tmp.*/run",
		"/tmp/go-build4029876431/b001/exe/main":        "/tmp/go-*/b#/exe/main",
		"/tmp/xmrig":                                   "/tmp/xmrig",
		"/tmp/evilProgram":                             "/tmp/*",
		"/home/evilProgram":                            "/home/evilProgram",
		"node":                                         "node",
		"/nix/store/0a1b2c3d4e5f60718293/bin/git":      "/nix/store/*/bin/git",
		"/data/3f2a9c81-12ab-4abc-9def-0123456789ab/x": "/data/*/x",
		"/data/3f2a9c81-12ab-4abc-9def-0123456789a/x":  "/data/*-#ab-#abc-#def-*/x",
		"/usr/bin/deadbeef":                            "/usr/bin/deadbeef",
		"/memfd:payload (deleted)":                     "/memfd:payload (deleted)",
		"/a//b/":                                       "/a//b/",
		"/bin/\x1b[31mred":                             "/bin/\ufffd[#mred",
		"/bin/r\u202esh":                               "/bin/r\ufffdsh",
		"/bin/" + strings.Repeat("a", 500):             "/bin/" + strings.Repeat("a", 251),
		"/bin/" + strings.Repeat("é", 500):             "/bin/" + strings.Repeat("é", 125),
	} {
		if diff := cmp.Diff(want, string(tidy(appendProgram(nil, in), 0))); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
}

func TestArea(t *testing.T) {
	for in, want := range map[string]string{
		"/etc/passwd":                        "/etc",
		"/x":                                 "/",
		"x":                                  ".",
		"/root/.ssh/id_ed25519":              "/root/.ssh",
		"/proc/4711/environ":                 "/proc/#",
		"/tmp/a/b/c":                         "/tmp/**",
		"/var/tmp/a":                         "/var/tmp/**",
		"/tmpfile/a":                         "/tmpfile",
		"/usr/lib/python3/dist/a/b/c/d":      "/usr/lib/python#/dist/**",
		"/data/.openclaw/agents/research/a":  "/data/.openclaw/agents/{agent}",
		"/data/.openclaw/agents/support/a":   "/data/.openclaw/agents/support",
		"/home/a/workspace/src/deep/main.go": "/home/a/workspace/**",
		"/a/workspace-research/b/c":          "/a/workspace-{agent}/**",
		"/a/workspace-support/b/c":           "/a/workspace-support/b",
		"/a//b/c":                            "/a//b",
	} {
		if diff := cmp.Diff(want, string(appendArea(nil, in, "research", 4))); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
}

func TestFind(t *testing.T) {
	for _, tc := range []struct {
		name string
		ev   event.Event
		want []string
	}{
		{"type only", event.Event{Type: "session.start"}, []string{"type session.start"}},
		{
			"tool", event.Event{Type: "tool.executed", Tool: &event.Tool{Name: "exec", Command: "ls"}},
			[]string{"tool exec", "type tool.executed"},
		},
		{
			"program that is started by another",
			event.Event{Type: "binary.sensitive", Process: &event.Process{Exe: "/usr/bin/node"}, File: &event.File{Path: "/usr/bin/curl", Op: "exec"}},
			[]string{"binary /usr/bin/curl", "type binary.sensitive"},
		},
		{"exit", event.Event{Type: "process.exit", Process: &event.Process{Exe: "/bin/ls"}}, []string{"type process.exit"}},
		{
			"rename",
			event.Event{Type: "kernel.probe", File: &event.File{Path: "/var/log/a", NewPath: "/root/b", Op: "rename"}},
			[]string{"file write /var/log", "file write /root", "type kernel.probe"},
		},
		{
			"unix socket",
			event.Event{Type: "docker.socket_access", File: &event.File{Path: "/var/run/docker.sock", Op: "connect"}},
			[]string{"file connect /var/run/docker.sock", "type docker.socket_access"},
		},
		{
			"name", event.Event{Type: "egress.unexpected", Network: &event.Network{Domain: "Evil.Test.", DstIP: netip.MustParseAddr("203.0.113.7"), DstPort: 443}},
			[]string{"destination evil.test:443", "type egress.unexpected"},
		},
		{
			"address of version 6", event.Event{Type: "egress.unexpected", Network: &event.Network{DstIP: netip.MustParseAddr("2001:db8::7"), DstPort: 443}},
			[]string{"destination [2001:db8::7]:443", "type egress.unexpected"},
		},
		{
			"loopback", event.Event{Type: "kernel.probe", Network: &event.Network{DstIP: netip.MustParseAddr("127.0.0.1"), DstPort: 45123}},
			[]string{"destination 127.0.0.1:*", "type kernel.probe"},
		},
		{
			"incoming", event.Event{Type: "gateway.external_bind", Network: &event.Network{DstIP: netip.MustParseAddr("203.0.113.7"), DstPort: 1}},
			[]string{"type gateway.external_bind"},
		},
		{"no address", event.Event{Type: "kernel.probe", Network: &event.Network{}}, []string{"type kernel.probe"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, f := range newFinder(4).find(&tc.ev) {
				got = append(got, f.feature.String()+" "+string(f.item))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzFind: items are bounded, can be shown, and survive a document.
func FuzzFind(f *testing.F) {
	f.Add("exec", "/usr/bin/python3.11", "/data/.openclaw/agents/a/x", "evil.test", "rename")
	f.Add("\xff\xfe", "/tmp/\x00/..", strings.Repeat("/é", 300), strings.Repeat("A.", 300), "connect")
	f.Fuzz(func(t *testing.T, tool, exe, path, domain, op string) {
		ev := event.Event{
			Type: tool, Tool: &event.Tool{Name: tool}, Process: &event.Process{Exe: exe},
			File: &event.File{Path: path, NewPath: exe, Op: op}, Network: &event.Network{Domain: domain, DstPort: 65535},
		}
		for _, found := range newFinder(4).find(&ev) {
			if err := (&Item{Item: string(found.item)}).check(); err != nil {
				t.Errorf("%s %q: %v", found.feature, found.item, err)
			}
		}
	})
}
