package probe

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// TestMain is the test, or with a mode in the environment the program that plays
// a gateway or an agent's command.
func TestMain(m *testing.M) {
	switch os.Getenv("G0_TEST_PLAYS") {
	case "":
		goleak.VerifyTestMain(m)
	case "gateway":
		playGateway()
	default:
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

// playGateway listens on its first argument, connects to its second, starts a
// child that inherits its sockets' process group, and waits for its input to end.
func playGateway() {
	if err := os.WriteFile("/proc/self/comm", []byte("openclaw-gateway"), 0); err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", os.Args[2])
	if err != nil {
		panic(err)
	}
	defer c.Close()
	in, err := net.Dial("tcp", os.Args[1]) // its own client: nobody's outbound connection
	if err != nil {
		panic(err)
	}
	defer in.Close()
	child := exec.Command("/proc/self/exe")
	child.Env = []string{"G0_TEST_PLAYS=command", "OPENCLAW_SHELL=exec", "OPENCLAW_GATEWAY_TOKEN=FAKE-secret"}
	child.Stdin = os.Stdin
	if err := child.Start(); err != nil {
		panic(err)
	}
	os.Stdout.WriteString("ready\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = child.Wait()
}

// start runs a gateway and gives its pid.
func start(t *testing.T, args ...string) int {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "G0_TEST_PLAYS=gateway")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the gateway says %q: %v", line, err)
	}
	return cmd.Process.Pid
}

func TestAGatewayOnTheHostIsSeen(t *testing.T) {
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = outside.Close() })
	port := freePort(t)
	at := "127.0.0.1:" + strconv.Itoa(port)
	pid := start(t, at, outside.Addr().String())

	d := deployment.Default()
	d.AgentDataPath, d.Gateway.Port = "/srv/agents", port
	var f scan.Facts
	lookAtProcesses(context.Background(), DefaultOptions(&d), boxes{}, &f)
	if !f.Processes.Known || !f.Connections.Known || !f.Listeners.Known {
		t.Fatalf("%s; %s; %s", f.Processes.Why, f.Connections.Why, f.Listeners.Why)
	}
	var command scan.Process
	gateway := false
	for _, p := range f.Processes.Value {
		gateway = gateway || p.PID == pid
		if p.Exec && slices.Contains(p.EnvNames, "OPENCLAW_GATEWAY_TOKEN") {
			command = p
		}
	}
	if !gateway || command.PID == 0 || command.UID != os.Geteuid() {
		t.Errorf("gateway seen: %v; its command: %+v", gateway, command)
	}
	for _, p := range f.Processes.Value {
		if strings.Contains(strings.Join(p.EnvNames, " "), "FAKE") {
			t.Errorf("a value is kept: %+v", p)
		}
	}
	if !slices.Contains(f.Listeners.Value, netip.MustParseAddrPort(at)) {
		t.Errorf("it listens on %v, want %s", f.Listeners.Value, at)
	}
	to := func(addr string) int {
		n := 0
		for _, c := range f.Connections.Value {
			if c.Remote == netip.MustParseAddrPort(addr) {
				n++
			}
		}
		return n
	}
	if n := to(outside.Addr().String()); n != 1 {
		t.Errorf("%d connections to %s, want 1: %v", n, outside.Addr(), f.Connections.Value)
	}
}

func TestNobodyThere(t *testing.T) {
	d := deployment.Default()
	d.AgentDataPath = "/srv/agents"
	o := DefaultOptions(&d)
	o.Proc = t.TempDir() // procfs without a process
	var f scan.Facts
	lookAtProcesses(context.Background(), o, boxes{}, &f)
	if len(f.Processes.Value) != 0 || f.Connections.Known || !strings.Contains(f.Connections.Why, "no process") || f.Listeners.Known || f.Falco.Value.Running {
		t.Errorf("%+v", f)
	}
	o.Proc = filepath.Join(o.Proc, "none")
	lookAtProcesses(context.Background(), o, boxes{}, &f)
	if f.Processes.Known || f.Connections.Known || f.Falco.Known {
		t.Errorf("%+v", f)
	}
}

func TestFalcoRules(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"falco_rules.local.yaml": "- rule: local\n  enabled: true\n- list: l\n  items: [a]\n",
		"rules.d/g0.yaml":        "- required_plugin_versions: []\n- macro: m\n  condition: x\n- rule: g0_openclaw_one\n  desc: d\n- rule: off\n  enabled: false\n",
		"rules.d/broken.yaml":    "- rule: [\n",
		"rules.d/other.txt":      "- rule: not read\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names := map[string]bool{}
	if err := falcoRules(dir, names); err != nil {
		t.Fatal(err)
	}
	if len(names) != 2 || !names["local"] || !names["g0_openclaw_one"] {
		t.Errorf("%v", names)
	}
	if err := falcoRules(filepath.Join(dir, "none"), names); err == nil {
		t.Error("a folder that is not there was read")
	}
}
