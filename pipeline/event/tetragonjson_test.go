package event

import (
	"strings"
	"testing"

	"github.com/cilium/tetragon/api/v1/tetragon"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// TestTetragonJSONAgrees reads every recorded line also with protojson, and the
// binary form of that.
func TestTetragonJSONAgrees(t *testing.T) {
	ignore := cmpopts.IgnoreFields(Event{}, "Raw", "Format")
	eachRecorded(t, func(name string, _ Format, line []byte) {
		resp := unmarshal(t, string(line))
		want, err := FromTetragon(resp)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := ParseTetragonJSON(line)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got, ignore, cmp.Comparer(sameAddr)); diff != "" {
			t.Errorf("%s: -protojson +ours:\n%s", name, diff)
		}
		raw, err := proto.Marshal(resp)
		if err != nil {
			t.Fatal(err)
		}
		if got, err = ParseTetragonProto(raw); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got, ignore, cmp.Comparer(sameAddr)); diff != "" {
			t.Errorf("%s: -protojson +proto:\n%s", name, diff)
		}
		if !IsTetragonJSON(line) {
			t.Errorf("%s: not told to be Tetragon's", name)
		}
	}, FormatTetragonJSON)
}

func unmarshal(tb testing.TB, line string) *tetragon.GetEventsResponse {
	tb.Helper()
	resp := new(tetragon.GetEventsResponse)
	if err := protojson.Unmarshal([]byte(line), resp); err != nil {
		tb.Fatalf("%s: %v", line, err)
	}
	return resp
}

// TestTetragonJSONKinds holds both decoders together for what is not among the
// recorded lines.
func TestTetragonJSONKinds(t *testing.T) {
	const process = `"process":{"exec_id":"e","pid":7,"uid":"0","cwd":"/","binary":"/bin/x","arguments":"a \ud83e\udd9e","start_time":"2026-11-23T13:13:27.4Z","docker":"` + idA + `","pod":{"namespace":"n","name":"p","container":{"id":"docker://` + idB + `","name":"c","image":{"id":"x","name":"i"},"pid":4},"workload":"w","workload_kind":"Deployment","pod_labels":{"app":"openclaw","g0.dev/agent":"a\ud83e\udd9e","@workload":"forged"}},"cap":{"permitted":["CAP_CHOWN"]}}`
	tests := []struct{ name, line string }{
		{"loader", `{"process_loader":{` + process + `,"path":"/lib/x.so","buildid":"AAEC"},"node_name":"h","time":"2026-11-23T13:13:27+01:00"}`},
		{"uprobe", `{"process_uprobe":{` + process + `,"path":"/lib/x.so","symbol":"f","policy_name":"lab","message":"m","args":[{"int_arg":-7,"label":"l"}],"action":"KPROBE_ACTION_POST"}}`},
		{"uprobe at an offset", `{"process_uprobe":{"path":"/lib/x.so","offset":"4660","data":[{"string_arg":"` + idA + `"}]}}`},
		{"usdt", `{"process_usdt":{` + process + `,"path":"/bin/x","provider":"p","name":"n","policy_name":"lab","action":10}}`},
		{"skb", `{"process_kprobe":{"function_name":"ip_send_skb","args":[{"skb_arg":{"hash":1,"saddr":"10.0.0.1","daddr":"10.0.0.2","sport":1,"dport":2,"protocol":"IPPROTO_UDP"}}]}}`},
		{"sock of another family", `{"process_kprobe":{"function_name":"security_socket_connect","policy_name":"g0-openclaw-egress","args":[{"sockaddr_arg":{"family":"AF_NETLINK"}}]}}`},
		{"kinds without an object", `{"process_kprobe":{"function_name":"x","policy_name":"lab","args":[{"size_arg":"1"},{"bytes_arg":"AAEC"},{"truncated_bytes_arg":{"bytes_arg":"AA=="}},{"cred_arg":{}},{"long_arg":"-1"},{"bpf_attr_arg":{}},{"perf_event_arg":{}},{"bpf_map_arg":{}},{"uint_arg":1},{"capability_arg":{"value":21}},{"user_ns_arg":{}},{"module_arg":{"name":"m"}},{"kernel_cap_t_arg":"00"},{"net_dev_arg":{}},{"bpf_cmd_arg":"BPF_PROG_LOAD"},{"syscall_id":{"id":1}},{"bpf_prog_arg":{}},{"error_arg":{}}]}}`},
		{"data", `{"process_kprobe":{"process":{"docker":"` + idA[:31] + `"},"function_name":"security_file_open","policy_name":"g0-openclaw-cross-agent","args":[{"file_arg":{"mount":"/","path":"/x","flags":""}}],"data":[{"string_arg":"` + idA + `"}],"action":"KPROBE_ACTION_SIGKILL","return_action":"KPROBE_ACTION_POST","tags":["a"]}}`},
		{"nulls", `{"process_exec":{"process":{"pid":null,"uid":null,"start_time":null,"binary":null,"pod":null},"parent":null,"ancestors":null},"time":null,"node_name":null}`},
		{"an action by number", `{"process_lsm":{"function_name":"file_open","args":[{"file_arg":{"path":"/x"}}],"action":5}}`},
		{"throttle by number", `{"process_throttle":{"type":2,"cgroup":"x\u0000\u0000"}}`},
		{"rate limit", `{"rate_limit_info":{"number_of_dropped_process_events":18446744073709551615}}`},
		{"test", `{"test":{"arg0":"1"}}`},
		{"the event last", `{"time":"2026-11-23T13:13:27Z","cluster_name":"c","node_labels":{"a":"b"},"node_name":"h","process_exit":{"signal":"SIGKILL","process":{},"time":"2026-11-23T13:13:27Z"}}`},
		{"ancestors", `{"process_exec":{"process":{},"ancestors":[{"pid":1},{"pid":2,"binary":"/x"}]}}`},
	}
	ignore := cmpopts.IgnoreFields(Event{}, "Raw", "Format")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := mustMap(t, unmarshal(t, tt.line))
			got := mustParse(t, FormatTetragonJSON, tt.line)
			if diff := cmp.Diff(want, got, ignore, cmp.Comparer(sameAddr)); diff != "" {
				t.Errorf("-protojson +ours:\n%s", diff)
			}
		})
	}
}

// TestTetragonJSONStrangers is about what a later Tetragon may send.
func TestTetragonJSONStrangers(t *testing.T) {
	tests := []struct {
		name     string
		line     string
		typ      string
		coverage *Coverage
		unparsed []string
	}{
		{"an argument", `{"process_kprobe":{"function_name":"tcp_connect","policy_name":"g0-openclaw-egress","args":[{"label":"x"},{"quic_arg":{"daddr":"203.0.113.7"}}]}}`,
			TypeCoverageLost, &Coverage{What: "tetragon", Reason: "unknown argument", Detail: "g0-openclaw-egress tcp_connect"},
			[]string{"args[0] empty", "args[1] quic_arg"}},
		{"an argument beside a known one", `{"process_lsm":{"function_name":"file_open","policy_name":"g0-openclaw-credential-protection","args":[{"inode_arg":1},{"file_arg":{"path":"/x"}}]}}`,
			TypeCredentialAccess, nil, []string{"args[0] inode_arg"}},
		{"an event", `{"process_quic":{"process":{}},"node_name":"h"}`,
			TypeCoverageLost, &Coverage{What: "tetragon", Reason: "unknown event", Detail: "process_quic"}, nil},
		{"an action", `{"process_lsm":{"function_name":"file_open","args":[{"file_arg":{"path":"/x"}}],"action":"KPROBE_ACTION_FREEZE"}}`,
			TypeKernelProbe, nil, []string{"action"}},
		{"a member", `{"process_exec":{"process":{"pid":1,"new":{"a":[1]}},"other":2}}`, TypeProcessExec, nil, nil},
		{"a time", `{"process_exec":{"process":{"start_time":"soon"}},"time":"later"}`, TypeProcessExec, nil, []string{"start_time", "time"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mustParse(t, FormatTetragonJSON, tt.line)
			if got.Type != tt.typ || got.Severity != SeverityOf(tt.typ) {
				t.Errorf("got %s, %s, want %s", got.Type, got.Severity, tt.typ)
			}
			if diff := cmp.Diff(tt.coverage, got.Coverage); diff != "" {
				t.Errorf("coverage: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tt.unparsed, got.Unparsed, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("unparsed: -want +got:\n%s", diff)
			}
		})
	}
}

func TestParseTetragonJSONErrors(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"cut", `{"process_exec":{`, "unexpected EOF"},
		{"no event", `{"node_name":"h"}`, "no event in it"},
		{"two events", `{"process_exec":{},"process_exit":{}}`, "two events in it, process_exec and process_exit"},
		{"pid too large", `{"process_exec":{"process":{"pid":4294967296}}}`, "pid: 4294967296 is no unsigned 32-bit number"},
		{"pid below zero", `{"process_exec":{"process":{"pid":-1}}}`, "pid: -1 is no unsigned 32-bit number"},
		{"pid with a fraction", `{"process_exec":{"process":{"pid":1.5}}}`, "pid: 1.5 is no"},
		{"port too large", `{"process_kprobe":{"args":[{"sock_arg":{"dport":99999999999}}]}}`, "port: 99999999999 is no"},
		{"int too large", `{"process_kprobe":{"args":[{"int_arg":2147483648}]}}`, "int_arg: 2147483648 is no 32-bit number"},
		{"process is a list", `{"process_exec":{"process":[]}}`, "process: got an array, want an object"},
		{"binary is a number", `{"process_exec":{"process":{"binary":1}}}`, "binary: got a number, want a string"},
		{"argument is a string", `{"process_kprobe":{"args":["x"]}}`, "args: got a string, want an object"},
		{"path argument is a string", `{"process_kprobe":{"args":[{"path_arg":"x"}]}}`, "path_arg: got a string, want an object"},
		{"many arguments", `{"process_kprobe":{"args":[` + strings.Repeat(`{},`, 40) + `{}]}}`, "args: more than 32"},
		{"deep", `{"process_exec":` + strings.Repeat(`{"a":`, 70) + `1` + strings.Repeat(`}`, 70) + `}`, "nested deeper than 64 levels"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseTetragonJSON([]byte(tt.raw))
			if err == nil || !strings.HasPrefix(err.Error(), "tetragon event: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to contain %q", err, tt.want)
			}
		})
	}
}

// TestTetragonJSONBounded reads what would take 500 MB if each element became a
// process.
func TestTetragonJSONBounded(t *testing.T) {
	ev := mustParse(t, FormatTetragonJSON, `{"process_exec":{"process":{},"ancestors":[`+strings.Repeat(`{},`, 1<<20)+`{}]}}`)
	if n := len(ev.Process.Ancestors); n != maxAncestors {
		t.Errorf("%d ancestors, want %d", n, maxAncestors)
	}
}

func TestIsTetragonJSON(t *testing.T) {
	tests := []struct {
		raw  string
		want bool
	}{
		{`{"process_exec":{}}`, true},
		{` {"node_name":"h", "rate_limit_info" : {"x":1}}`, true},
		{`{"time":"}\"process_exec\":{","a":[{"b":"]"}],"process_usdt":{}}`, true},
		{`{"test":{}}`, true},
		{`{"type":"x","data":{"process_exec":{}}}`, false},
		{`{"type":"x","data":[{"process_exec":{}}]}`, false},
		{`{"type":"\"process_exec\":{}"}`, false},
		{`{"process_exec":"x"}`, false},
		{`{"test":1}`, false},
		{`{"Process_Exec":{}}`, false},
		{`[{"process_exec":{}}]`, false},
		{`"process_exec"`, false},
		{`{"a":"\\","process_exec":{}}`, true},
		{`{"a`, false},
		{`{"a":"\`, false},
		{`{`, false},
		{``, false},
		{strings.Repeat(`{"a":`, 1<<18), false},
	}
	for _, tt := range tests {
		if got := IsTetragonJSON([]byte(tt.raw)); got != tt.want {
			t.Errorf("%.60s: got %v, want %v", tt.raw, got, tt.want)
		}
	}
	eachRecorded(t, func(name string, format Format, line []byte) {
		if format != FormatTetragonJSON && IsTetragonJSON(line) {
			t.Errorf("%s: told to be Tetragon's", name)
		}
	})
}
