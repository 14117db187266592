package falco_test

import (
	"net/netip"
	"regexp"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/falco"
	"github.com/guard0-ai/g0-sidecar/rules/falco/falcotest"
)

var outputField = regexp.MustCompile(`%([a-z][a-z0-9_.]*(?:\[[^\]]*\])?)`)

// alert is what Falco makes of a rule's output and an event: output_fields are the
// fields of the output, null where the event has none.
func alert(t *testing.T, r falcotest.Rule, ev falcotest.Event) []byte {
	t.Helper()
	fields := map[string]any{}
	for _, m := range outputField.FindAllStringSubmatch(r.Output, -1) {
		fields[m[1]] = nil
		if v, ok := ev[m[1]]; ok {
			fields[m[1]] = v
		}
	}
	b, err := json.Marshal(map[string]any{"rule": r.Name, "priority": r.Priority, "output": r.Output, "source": "syscall", "output_fields": fields})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAlertsAreReadBack sees that the outputs have the fields from which
// pipeline/event makes an event.
func TestAlertsAreReadBack(t *testing.T) {
	const log = "/tmp/openclaw/a.log"
	process := falcotest.Event{"proc.pid": "7", "proc.cmdline": "cat -n x", "proc.cwd": "/w", "proc.pname": "bash", "proc.aname[2]": "node"}
	to := netip.MustParseAddr("203.0.113.77")
	tests := map[string]struct {
		ev      falcotest.Event
		typ     string
		file    *event.File
		network *event.Network
	}{
		falco.RuleLogTampering: {falcotest.Event{"evt.type": "unlink", "fs.path.name": log}, event.TypeLogTampering,
			&event.File{Path: log, Op: "unlink"}, nil},
		falco.RuleCrossAgentAccess: {opened("/a/b", "O_RDONLY"), event.TypeCrossAccess, &event.File{Path: "/a/b", Op: "open"}, nil},
		falco.RuleDockerSocketAccess: {falcotest.Event{"evt.type": "connect", "evt.arg.addr": "/run/docker.sock", "fd.name": "ff->ff /run/docker.sock"},
			event.TypeDockerSocketAccess, &event.File{Path: "/run/docker.sock", Op: "connect"}, nil},
		falco.RuleGatewayExternalBind: {falcotest.Event{"evt.type": "bind", "fd.sip": "0.0.0.0", "fd.sport": "18789"}, event.TypeGatewayExternalBind,
			nil, &event.Network{SrcIP: netip.IPv4Unspecified(), SrcPort: 18789}},
		falco.RuleCredentialAccess: {opened("/a/.env", "O_RDONLY"), event.TypeCredentialAccess, &event.File{Path: "/a/.env", Op: "open"}, nil},
		falco.RuleSessionAccess:    {opened("/a/s.jsonl", "O_TRUNC|O_RDWR"), event.TypeSessionAccess, &event.File{Path: "/a/s.jsonl", Op: "truncate"}, nil},
		falco.RuleSensitiveBinary:  {ran("curl", "/usr/bin/curl"), event.TypeBinarySensitive, &event.File{Path: "/usr/bin/curl", Op: "exec"}, nil},
		falco.RuleRootContainer:    {ran("ls", "/usr/bin/ls"), event.TypeContainerRoot, nil, nil},
		falco.RuleUnexpectedEgress: {connected("203.0.113.77", "443"), event.TypeEgressUnexpected, nil, &event.Network{Protocol: "tcp", DstIP: to, DstPort: 443}},
	}
	for name, file := range map[string]*falcotest.File{"plugin": read(t, "sample.yaml"), "core": read(t, "sample-core.yaml")} {
		for _, r := range file.Rules {
			t.Run(r.Name+", "+name, func(t *testing.T) {
				want, ok := tests[r.Name]
				if !ok {
					t.Fatal("no case")
				}
				got, err := event.ParseFalco(alert(t, r, merge(beta, process, want.ev)))
				if err != nil {
					t.Fatal(err)
				}
				if got.Type != want.typ || got.Hook != want.ev["evt.type"] || len(got.Unparsed) > 0 {
					t.Errorf("type %s, hook %q, unparsed %v", got.Type, got.Hook, got.Unparsed)
				}
				if diff := cmp.Diff(want.file, got.File); diff != "" {
					t.Errorf("file: -want +got:\n%s", diff)
				}
				if diff := cmp.Diff(want.network, got.Network, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
					t.Errorf("network: -want +got:\n%s", diff)
				}
				container := event.Container{ID: beta["container.id"], Name: beta["container.name"]}
				if name == "core" {
					container = event.Container{}
				}
				if diff := cmp.Diff(container, got.Container); diff != "" {
					t.Errorf("container: -want +got:\n%s", diff)
				}
				if p := got.Process; p == nil || p.PID != 7 || p.Exe == "" || p.Args == "" || p.Cwd != "/w" || p.UID == nil || *p.UID != 1001 || len(p.Ancestors) == 0 {
					t.Errorf("process: %+v", p)
				}
			})
		}
	}
}
