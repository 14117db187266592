package event

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/tetragon/api/v1/tetragon"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

const (
	idA = "4f1c0de5a9b37e2d6c8f0a1b2c3d4e5f60718293a4b5c6d7e8f9010203040506"
	idB = "b0b5aa11c3d94e5f8071625344352617089abcdef0123456789fedcba9876543"
)

func kprobe(policy, hook string, args ...*tetragon.KprobeArgument) *tetragon.GetEventsResponse {
	return &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessKprobe{
		ProcessKprobe: &tetragon.ProcessKprobe{PolicyName: policy, FunctionName: hook, Args: args},
	}}
}

func pathArg(path string) *tetragon.KprobeArgument {
	return &tetragon.KprobeArgument{Arg: &tetragon.KprobeArgument_PathArg{PathArg: &tetragon.KprobePath{Path: path}}}
}

func fileArg(path string) *tetragon.KprobeArgument {
	return &tetragon.KprobeArgument{Arg: &tetragon.KprobeArgument_FileArg{FileArg: &tetragon.KprobeFile{Path: path}}}
}

func intArg(n int32) *tetragon.KprobeArgument {
	return &tetragon.KprobeArgument{Arg: &tetragon.KprobeArgument_IntArg{IntArg: n}}
}

func stringArg(s string) *tetragon.KprobeArgument {
	return &tetragon.KprobeArgument{Arg: &tetragon.KprobeArgument_StringArg{StringArg: s}}
}

func sockaddrArg(addr string, port uint32) *tetragon.KprobeArgument {
	return &tetragon.KprobeArgument{Arg: &tetragon.KprobeArgument_SockaddrArg{
		SockaddrArg: &tetragon.KprobeSockaddr{Addr: addr, Port: port}}}
}

func unixArg(path string) *tetragon.KprobeArgument {
	return &tetragon.KprobeArgument{Arg: &tetragon.KprobeArgument_SockaddrunArg{
		SockaddrunArg: &tetragon.KprobeSockaddrUn{Path: path}}}
}

func skbArg(s *tetragon.KprobeSkb) *tetragon.KprobeArgument {
	return &tetragon.KprobeArgument{Arg: &tetragon.KprobeArgument_SkbArg{SkbArg: s}}
}

func binprmArg(path string) *tetragon.KprobeArgument {
	return &tetragon.KprobeArgument{Arg: &tetragon.KprobeArgument_LinuxBinprmArg{
		LinuxBinprmArg: &tetragon.KprobeLinuxBinprm{Path: path}}}
}

// futureArg is an argument of a kind that this API does not have.
func futureArg() *tetragon.KprobeArgument {
	arg := new(tetragon.KprobeArgument)
	arg.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 77, protowire.BytesType), "x"))
	return arg
}

func mustMap(t *testing.T, resp *tetragon.GetEventsResponse) *Event {
	t.Helper()
	ev, err := FromTetragon(resp)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func TestPolicyTypes(t *testing.T) {
	tests := []struct {
		policy, want string
		ours         bool
	}{
		{"g0-openclaw-egress", TypeEgressUnexpected, true},
		{"g0-openclaw-cross-agent", TypeCrossAccess, true},
		{"g0-openclaw-docker-socket", TypeDockerSocketAccess, true},
		{"g0-openclaw-sensitive-binary", TypeBinarySensitive, true},
		{"g0-openclaw-credential-protection", TypeCredentialAccess, true},
		{"g0-openclaw-log-protection", TypeLogTampering, true},
		{"g0-openclaw-log-protection-rename", TypeLogTampering, true},
		{"g0-openclaw-log-protection-observe-2", TypeLogTampering, true},
		{"g0-openclaw-cognitive-protection", TypeCognitiveModified, true},
		{"g0-openclaw-code-injection", TypeCodeModified, true},
		{"g0-openclaw-egress-", TypeEgressUnexpected, true},
		{"g0-openclaw-egress-0123456789ab", TypeEgressUnexpected, true}, // as g0 policies apply loads it
		{"g0-openclaw-egressx", TypeKernelProbe, false},
		{"g0-openclaw-", TypeKernelProbe, false},
		{"x-g0-openclaw-egress", TypeKernelProbe, false},
		{"lab-uid-change", TypeKernelProbe, false},
		{"", TypeKernelProbe, false},
	}
	for _, tt := range tests {
		if got, ours := policyType(tt.policy); got != tt.want || ours != tt.ours {
			t.Errorf("%s: got %s, %v, want %s, %v", tt.policy, got, ours, tt.want, tt.ours)
		}
	}
}

// Every policy that g0 generates has a type of its own.
func TestGeneratedPoliciesHaveTypes(t *testing.T) {
	seen := map[string]string{}
	for _, name := range slices.Concat(deployment.Policies, deployment.ExtraPolicies) {
		typ, ours := policyType(name)
		if !ours || seen[typ] != "" || !Security(typ) {
			t.Errorf("%s: type %s, of ours: %v, also of %q", name, typ, ours, seen[typ])
		}
		seen[typ] = name
		for _, suffix := range []string{"-2", "-truncate", "-observe", "-observe-2"} {
			if got, _ := policyType(name + suffix); got != typ {
				t.Errorf("%s%s: got %s, want %s", name, suffix, got, typ)
			}
		}
	}
}

func TestProbeObjects(t *testing.T) {
	addr := netip.MustParseAddr
	tests := []struct {
		name    string
		hook    string
		args    []*tetragon.KprobeArgument
		file    *File
		network *Network
	}{
		{"open", "security_file_open", args(fileArg("/a")), &File{Path: "/a", Op: "open"}, nil},
		{"read", "security_file_permission", args(fileArg("/a"), intArg(4)), &File{Path: "/a", Op: "read"}, nil},
		{"write", "security_file_permission", args(fileArg("/a"), intArg(2)), &File{Path: "/a", Op: "write"}, nil},
		{"read and write", "file_permission", args(fileArg("/a"), intArg(6)), &File{Path: "/a", Op: "write"}, nil},
		{"mask not known", "security_file_permission", args(fileArg("/a")), &File{Path: "/a"}, nil},
		{"exec", "security_bprm_check", args(binprmArg("/usr/bin/curl")), &File{Path: "/usr/bin/curl", Op: "exec"}, nil},
		{"exec, LSM", "bprm_check_security", args(binprmArg("/usr/bin/curl")), &File{Path: "/usr/bin/curl", Op: "exec"}, nil},
		{"unlink", "security_path_unlink", args(pathArg("/data/s"), pathArg("/srv/a/s/x.log")), &File{Path: "/data/s/x.log", Op: "unlink"}, nil},
		{"unlink in the root", "path_unlink", args(pathArg("/"), pathArg("/x.log")), &File{Path: "/x.log", Op: "unlink"}, nil},
		{"unlink with one path", "security_inode_unlink", args(pathArg("/x.log")), &File{Path: "/x.log", Op: "unlink"}, nil},
		{"rmdir", "security_path_rmdir", args(pathArg("/a"), pathArg("b")), &File{Path: "/a/b", Op: "unlink"}, nil},
		{"rename", "security_path_rename", args(pathArg("/a"), pathArg("/h/x"), pathArg("/b"), pathArg("/h/y")), &File{Path: "/a/x", NewPath: "/b/y", Op: "rename"}, nil},
		{"rename with its source only", "path_rename", args(pathArg("/a"), pathArg("/h/x"), stringArg("docker-"+idA+".scope")), &File{Path: "/a/x", Op: "rename"}, nil},
		{"rename of inodes", "security_inode_rename", args(pathArg("/x"), pathArg("/y")), &File{Path: "/x", NewPath: "/y", Op: "rename"}, nil},
		{"link", "security_path_link", args(pathArg("/x"), pathArg("/b"), pathArg("/h/y")), &File{Path: "/x", NewPath: "/b/y", Op: "link"}, nil},
		{"truncate", "do_truncate", args(pathArg("/x")), &File{Path: "/x", Op: "truncate"}, nil},
		{"system call", "__x64_sys_openat", args(intArg(-100), stringArg("../x")), &File{Path: "../x", Op: "open"}, nil},
		{"system call with two names", "__x64_sys_renameat2", args(stringArg("x"), stringArg("y")), &File{Path: "x", NewPath: "y", Op: "rename"}, nil},
		{"a string that is no name", "commit_creds", args(stringArg("x")), nil, nil},
		{"unix socket by name", "security_socket_connect", args(unixArg("/run/docker.sock")), &File{Path: "/run/docker.sock", Op: "connect"}, nil},
		{"unix socket", "security_unix_stream_connect", args(pathArg("/run/docker.sock")), &File{Path: "/run/docker.sock", Op: "connect"}, nil},
		{"address", "security_socket_connect", args(sockaddrArg("203.0.113.7", 443)), nil, &Network{DstIP: addr("203.0.113.7"), DstPort: 443}},
		{"mapped address", "security_socket_connect", args(sockaddrArg("::ffff:203.0.113.7", 443)), nil, &Network{DstIP: addr("203.0.113.7"), DstPort: 443}},
		{"address with a zone", "security_socket_connect", args(sockaddrArg(`fe80::1%"`, 1)), nil, &Network{DstIP: addr("fe80::1"), DstPort: 1}},
		{"packet", "ip_send_skb", args(skbArg(&tetragon.KprobeSkb{Protocol: "IPPROTO_UDP", Saddr: "10.0.0.1", Sport: 1, Daddr: "10.0.0.2", Dport: 2})), nil,
			&Network{Protocol: "udp", SrcIP: addr("10.0.0.1"), SrcPort: 1, DstIP: addr("10.0.0.2"), DstPort: 2}},
		{"another family", "security_socket_connect", args(sockaddrArg("", 0)), nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mustMap(t, kprobe("lab", tt.hook, tt.args...))
			want := &Event{Type: TypeKernelProbe, Policy: "lab", Hook: tt.hook, File: tt.file, Network: tt.network}
			if diff := cmp.Diff(want, got, body, cmp.Comparer(sameAddr)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func args(a ...*tetragon.KprobeArgument) []*tetragon.KprobeArgument { return a }

func TestPodLabels(t *testing.T) {
	many := map[string]string{}
	for i := range 1000 {
		many[strconv.Itoa(10_000+i)] = "x"
	}
	tests := []struct {
		name string
		pod  *tetragon.Pod
		want int
		has  map[string]string
		cut  bool
	}{
		{"none", &tetragon.Pod{Name: "p"}, 0, nil, false},
		{"labels", &tetragon.Pod{PodLabels: map[string]string{"app": "a"}}, 1, map[string]string{"app": "a"}, false},
		{"workload", &tetragon.Pod{Workload: "w", PodLabels: map[string]string{LabelWorkload: "forged"}}, 1, map[string]string{LabelWorkload: "w"}, false},
		{"too many", &tetragon.Pod{Workload: "w", PodLabels: many}, maxPodLabels + 1, map[string]string{LabelWorkload: "w", "10000": "x", "10127": "x"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ev := mustMap(t, &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessExec{
				ProcessExec: &tetragon.ProcessExec{Process: &tetragon.Process{Pod: tt.pod}}}})
			if len(ev.Labels) != tt.want || len(ev.Unparsed) > 0 != tt.cut {
				t.Errorf("%d labels, unparsed %q", len(ev.Labels), ev.Unparsed)
			}
			for k, v := range tt.has {
				if ev.Labels[k] != v {
					t.Errorf("%s is %q, want %q", k, ev.Labels[k], v)
				}
			}
		})
	}
}

func TestUnknownArguments(t *testing.T) {
	lost := func(detail string) *Coverage {
		return &Coverage{What: "tetragon", Reason: "unknown argument", Detail: detail}
	}
	tests := []struct {
		name     string
		policy   string
		args     []*tetragon.KprobeArgument
		typ      string
		coverage *Coverage
		unparsed []string
	}{
		{"of a policy of ours", policyPrefix + "egress", args(futureArg()), TypeCoverageLost, lost(policyPrefix + "egress tcp_connect"), []string{"args[0] field 77"}},
		{"of another policy", "lab", args(futureArg()), TypeCoverageLost, lost("lab tcp_connect"), []string{"args[0] field 77"}},
		{"beside a known one", policyPrefix + "egress", args(sockaddrArg("10.0.0.1", 1), futureArg()), TypeEgressUnexpected, nil, []string{"args[1] field 77"}},
		{"empty", policyPrefix + "egress", args(&tetragon.KprobeArgument{}), TypeCoverageLost, lost(policyPrefix + "egress tcp_connect"), []string{"args[0] empty"}},
		{"no arguments", policyPrefix + "egress", nil, TypeCoverageLost, lost(policyPrefix + "egress tcp_connect"), nil},
		{"no arguments of another policy", "lab", nil, TypeKernelProbe, nil, nil},
		{"known, but nothing to act on", policyPrefix + "egress", args(intArg(1)), TypeCoverageLost, lost(policyPrefix + "egress tcp_connect"), nil},
		{"port out of range", policyPrefix + "egress", args(sockaddrArg("10.0.0.1", 65536+443)), TypeEgressUnexpected, nil, []string{"args[0] dport 65979"}},
		{"address that is none", policyPrefix + "egress", args(sockaddrArg("nowhere", 1)), TypeCoverageLost, lost(policyPrefix + "egress tcp_connect"), []string{"args[0] daddr"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mustMap(t, kprobe(tt.policy, "tcp_connect", tt.args...))
			if got.Type != tt.typ || got.Severity != SeverityOf(tt.typ) {
				t.Errorf("got %s, %s, want %s", got.Type, got.Severity, tt.typ)
			}
			if diff := cmp.Diff(tt.coverage, got.Coverage); diff != "" {
				t.Errorf("coverage: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tt.unparsed, got.Unparsed); diff != "" {
				t.Errorf("unparsed: -want +got:\n%s", diff)
			}
		})
	}
}

func TestUnknownEvents(t *testing.T) {
	if _, err := FromTetragon(&tetragon.GetEventsResponse{NodeName: "h"}); err == nil {
		t.Error("a message without an event was taken")
	}
	raw := protowire.AppendString(protowire.AppendTag(nil, 30, protowire.BytesType), "x")
	ev, err := ParseTetragonProto(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := &Coverage{What: "tetragon", Reason: "unknown event", Detail: "field 30"}
	if diff := cmp.Diff(want, ev.Coverage); diff != "" || ev.Type != TypeCoverageLost {
		t.Errorf("got %s, -want +got:\n%s", ev.Type, diff)
	}
	if _, err := ParseTetragonProto([]byte{0xff}); err == nil {
		t.Error("broken bytes were taken")
	}
}

func TestOtherEvents(t *testing.T) {
	p := &tetragon.Process{Pid: wrapperspb.UInt32(7), Binary: "/bin/x"}
	actor := &Process{PID: 7, Exe: "/bin/x"}
	tests := []struct {
		name string
		resp *tetragon.GetEventsResponse
		want Event
	}{
		{"exit by signal", &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessExit{
			ProcessExit: &tetragon.ProcessExit{Process: p, Signal: "SIGKILL"}}},
			Event{Type: TypeProcessExit, Process: &Process{PID: 7, Exe: "/bin/x", Signal: "SIGKILL"}}},
		{"exit with a status", &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessExit{
			ProcessExit: &tetragon.ProcessExit{Process: p, Status: 3}}},
			Event{Type: TypeProcessExit, Process: &Process{PID: 7, Exe: "/bin/x", Status: 3}}},
		{"exit of nobody", &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessExit{
			ProcessExit: &tetragon.ProcessExit{Status: 3}}}, Event{Type: TypeProcessExit}},
		{"exec of nobody", &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessExec{}}, Event{Type: TypeProcessExec}},
		{"loader", &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessLoader{
			ProcessLoader: &tetragon.ProcessLoader{Process: p, Path: "/lib/x.so"}}},
			Event{Type: TypeProcessLoader, Process: actor, File: &File{Path: "/lib/x.so"}}},
		{"uprobe", &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessUprobe{
			ProcessUprobe: &tetragon.ProcessUprobe{Process: p, Path: "/lib/ssl.so", Symbol: "SSL_write", PolicyName: "tls", Message: "m"}}},
			Event{Type: TypeKernelProbe, Process: actor, Hook: "/lib/ssl.so:SSL_write", Policy: "tls", Message: "m"}},
		{"uprobe at an offset", &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessUprobe{
			ProcessUprobe: &tetragon.ProcessUprobe{Path: "/bin/x", Offset: 255}}},
			Event{Type: TypeKernelProbe, Hook: "/bin/x+0xff"}},
		{"usdt", &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessUsdt{
			ProcessUsdt: &tetragon.ProcessUsdt{Path: "/bin/x", Provider: "p", Name: "n", PolicyName: "lab"}}},
			Event{Type: TypeKernelProbe, Hook: "/bin/x:p:n", Policy: "lab"}},
		{"tracepoint of a policy of ours", &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessTracepoint{
			ProcessTracepoint: &tetragon.ProcessTracepoint{Subsys: "syscalls", Event: "sys_enter_unlink", PolicyName: policyPrefix + "log-protection-tp", Args: args(stringArg("/x.log"))}}},
			Event{Type: TypeLogTampering, Hook: "syscalls/sys_enter_unlink", Policy: policyPrefix + "log-protection-tp", File: &File{Path: "/x.log", Op: "unlink"}}},
		{"rate limit", &tetragon.GetEventsResponse{NodeName: "h", Event: &tetragon.GetEventsResponse_RateLimitInfo{
			RateLimitInfo: &tetragon.RateLimitInfo{NumberOfDroppedProcessEvents: 181}}},
			Event{Type: TypeCoverageLost, Host: "h", Coverage: &Coverage{What: "tetragon", Reason: "export rate limit", Count: 181}}},
		{"throttle", &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessThrottle{
			ProcessThrottle: &tetragon.ProcessThrottle{Type: tetragon.ThrottleType_THROTTLE_START, Cgroup: idA + strings.Repeat("\x00", 64)}}},
			Event{Type: TypeCoverageLost, Container: Container{ID: idA}, Coverage: &Coverage{What: "tetragon", Reason: "throttled", Detail: idA}}},
		{"end of the throttle", &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessThrottle{
			ProcessThrottle: &tetragon.ProcessThrottle{Type: tetragon.ThrottleType_THROTTLE_STOP, Cgroup: "init.scope"}}},
			Event{Type: TypeCoverageRestored, Coverage: &Coverage{What: "tetragon", Reason: "throttled", Detail: "init.scope"}}},
		{"throttle of an unknown kind", &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessThrottle{
			ProcessThrottle: &tetragon.ProcessThrottle{Type: 9}}},
			Event{Type: TypeCoverageLost, Coverage: &Coverage{What: "tetragon", Reason: "throttled"}, Unparsed: []string{"type"}}},
		{"times out of range", &tetragon.GetEventsResponse{Time: &timestamppb.Timestamp{Seconds: 1 << 60}, Event: &tetragon.GetEventsResponse_ProcessExec{
			ProcessExec: &tetragon.ProcessExec{Process: &tetragon.Process{StartTime: &timestamppb.Timestamp{Nanos: -1}}}}},
			Event{Type: TypeProcessExec, Process: &Process{}}},
		{"test", &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_Test{}}, Event{Type: TypeKernelProbe, Hook: "test"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(&tt.want, mustMap(t, tt.resp), body); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestProcess(t *testing.T) {
	start := time.Date(2026, 11, 23, 13, 4, 24, 5, time.UTC)
	many := make([]*tetragon.Process, 40)
	for i := range many {
		many[i] = &tetragon.Process{Pid: wrapperspb.UInt32(uint32(i))}
	}
	ev := mustMap(t, &tetragon.GetEventsResponse{Event: &tetragon.GetEventsResponse_ProcessExec{ProcessExec: &tetragon.ProcessExec{
		Process: &tetragon.Process{ExecId: "e", Pid: wrapperspb.UInt32(7), Uid: wrapperspb.UInt32(0), Cwd: "/w", Binary: "/bin/sh",
			Arguments: `-lc "export PATH=/bin; unset OPENCLAW_PREPEND_PATH; id"`, StartTime: timestamppb.New(start), Docker: idA[:31],
			Pod: &tetragon.Pod{Namespace: "n", Name: "p", Container: &tetragon.Container{Id: "containerd://" + idA, Name: "c", Image: &tetragon.Image{Name: "i:1"}}}},
		Parent:    &tetragon.Process{ExecId: "pe", Pid: wrapperspb.UInt32(6), Binary: "/bin/p", Arguments: "a"},
		Ancestors: many,
	}}})
	if n := len(ev.Process.Ancestors); n != maxAncestors {
		t.Errorf("%d ancestors, want %d", n, maxAncestors)
	}
	ev.Process.Ancestors = ev.Process.Ancestors[:1]
	want := &Event{Type: TypeProcessExec,
		Container: Container{ID: idA, Name: "c", Image: "i:1", Pod: "p", Namespace: "n"},
		Process: &Process{PID: 7, Start: start, Exe: "/bin/sh", Args: `-lc "export PATH=/bin; unset OPENCLAW_PREPEND_PATH; id"`,
			Command: "id", Cwd: "/w", UID: new(uint32), ExecID: "e",
			Ancestors: []Ancestor{{PID: 6, Exe: "/bin/p", Args: "a", ExecID: "pe"}}}}
	if diff := cmp.Diff(want, ev, body); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A parent that only forked is in no event of its own: it names its own parent.
func TestTheParentOfAParent(t *testing.T) {
	for want, ancestors := range map[string]string{`pe ppe`: ``, `pe aa`: `,"ancestors":[{"exec_id":"aa"}]`} {
		ev, err := ParseTetragonJSON([]byte(`{"process_exec":{"process":{"pid":7,"exec_id":"e","parent_exec_id":"pe"},` +
			`"parent":{"pid":6,"exec_id":"pe","parent_exec_id":"ppe"}` + ancestors + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range ev.Process.Ancestors {
			got = append(got, a.ExecID)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFullContainerID(t *testing.T) {
	tests := []struct {
		name       string
		docker     string
		data, args string
		want       string
	}{
		{"cgroupfs", idA[:31], idA, "", idA},
		{"systemd", idB[:31], "docker-" + idB + ".scope", "", idB},
		{"containerd with systemd", idB[:31], "cri-containerd-" + idB + ".scope", "", idB},
		{"a cgroup below the container's", "", "init", "", ""},
		{"only the kernel knows", "", idA, "", idA},
		{"an argument that goes on", idA[:31], "", idA, idA},
		{"an argument of another container", idA[:31], "", idB, idA[:31]},
		{"an argument on the host", "", "", idA, ""},
		{"data of another container", idA[:31], idB, "", idA[:31]},
		{"upper case", idA[:31], strings.ToUpper(idA), "", idA[:31]},
		{"too long", idA[:31], idA + "0", "", idA[:31]},
		{"nothing", "", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := kprobe("lab", "security_file_open", fileArg("/x"), stringArg(tt.args))
			k := resp.GetProcessKprobe()
			k.Process, k.Data = &tetragon.Process{Docker: tt.docker}, args(intArg(1), stringArg(tt.data))
			if got := mustMap(t, resp).Container.ID; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSettleAction(t *testing.T) {
	const (
		sigkill  = tetragon.KprobeAction_KPROBE_ACTION_SIGKILL
		override = tetragon.KprobeAction_KPROBE_ACTION_OVERRIDE
	)
	tests := []struct {
		action tetragon.KprobeAction
		mode   string
		asked  string
		want   Action
	}{
		{tetragon.KprobeAction_KPROBE_ACTION_POST, ModeEnforce, "", ActionObserved},
		{sigkill, "", "sigkill", ActionObserved},
		{sigkill, ModeMonitor, "sigkill", ActionObserved},
		{sigkill, ModeEnforce, "sigkill", ActionKilled},
		{override, "", "override", ActionDenied},
		{override, ModeMonitor, "override", ActionObserved},
		{override, ModeEnforce, "override", ActionDenied},
		{tetragon.KprobeAction_KPROBE_ACTION_SIGNAL, ModeEnforce, "signal", ActionObserved},
		{tetragon.KprobeAction_KPROBE_ACTION_NOTIFYENFORCER, ModeEnforce, "notifyenforcer", ActionObserved},
	}
	for _, tt := range tests {
		resp := kprobe("lab", "security_file_open", fileArg("/x"))
		resp.GetProcessKprobe().Action = tt.action
		ev := mustMap(t, resp)
		ev.SettleAction(ModeEnforce) // what was settled before does not matter
		ev.SettleAction(tt.mode)
		if ev.Asked != tt.asked || ev.Action != tt.want {
			t.Errorf("%s in mode %q: got %q, %s, want %q, %s", tt.action, tt.mode, ev.Asked, ev.Action, tt.asked, tt.want)
		}
	}
	blocked := mustParse(t, FormatOpenClaw, `{"type":"tool.blocked"}`)
	if blocked.SettleAction(ModeMonitor); blocked.Action != ActionDenied {
		t.Errorf("an event of no policy: got %s, want denied", blocked.Action)
	}
	future := kprobe("lab", "security_file_open", fileArg("/x"))
	future.GetProcessKprobe().Action = 99
	if ev := mustMap(t, future); !cmp.Equal(ev.Unparsed, []string{"action"}) {
		t.Errorf("an unknown action: unparsed is %q", ev.Unparsed)
	}
}

func TestParseTetragonProtoKeepsRaw(t *testing.T) {
	raw, err := proto.Marshal(kprobe("lab", "tcp_connect", sockaddrArg("10.0.0.1", 1)))
	if err != nil {
		t.Fatal(err)
	}
	ev, err := ParseTetragonProto(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(ev.Raw, raw) || ev.Format != FormatTetragonProto {
		t.Errorf("got %x as %s, want %x", ev.Raw, ev.Format, raw)
	}
}
