package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// binaryVariable names the built g0 that is measured: the test binary is larger.
const binaryVariable = "G0_BINARY"

// built is a g0 process under measurement.
type built struct {
	cmd *exec.Cmd
	url string
}

// startBuilt runs the built-in pipeline on a fresh state folder and waits until
// /health answers.
func startBuilt(b *testing.B) *built {
	b.Helper()
	exe := os.Getenv(binaryVariable)
	if exe == "" {
		b.Skip("$" + binaryVariable + " names no built g0: run make bench")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := b.TempDir()
	g := &built{cmd: exec.Command(exe, "run", "--state", filepath.Join(dir, "state")), url: "http://" + address}
	g.cmd.Env = append(os.Environ(), "HOME="+dir, "G0_ADDRESS="+address)
	if err := g.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		resp, err := http.Get(g.url + "/health")
		if err == nil {
			resp.Body.Close()
			return g
		}
		if time.Now().After(end) {
			b.Fatal(err)
		}
	}
}

func (g *built) stop(b *testing.B) {
	b.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	if err := g.cmd.Wait(); err != nil {
		b.Fatal(err)
	}
}

// resident is the process's resident memory in megabytes (10^6 bytes), as
// /proc/PID/status has it under VmRSS, or at its highest VmHWM.
func (g *built) resident(b *testing.B, field string) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(kb)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(n) * 1024 / 1e6
		}
	}
	b.Fatal("no " + field)
	return 0
}

// BenchmarkStart measures from the start of the process to its first answer.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		g := startBuilt(b)
		b.StopTimer()
		g.stop(b)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/start")
}

// BenchmarkMemory posts b.N thousand events of 1,000 agents.
func BenchmarkMemory(b *testing.B) {
	g := startBuilt(b)
	defer g.stop(b)
	b.ReportMetric(g.resident(b, "VmRSS"), "MB-start")
	for batch := range b.N {
		var body bytes.Buffer
		for i := range 1000 {
			typ := []string{"tool.executed", "tool.result", "injection.detected", "pii.redacted"}[(batch+i)%4]
			fmt.Fprintf(&body, `{"type":%q,"agentId":"agent-%d","sessionKey":"agent:agent-%d:main","data":{"toolName":"exec","params":{"command":"ls -la /tmp/%d"}}}`+"\n", typ, i, i, batch)
		}
		left := body.Bytes()
		for len(left) > 0 { // what there is no room for comes again
			left = postSome(b, g.url, left)
		}
	}
	b.ReportMetric(g.resident(b, "VmHWM"), "MB-peak")
	b.ReportMetric(g.resident(b, "VmRSS"), "MB-end")
}

// postSome posts lines and gives those back for which there was no room.
func postSome(b *testing.B, url string, lines []byte) (left []byte) {
	resp, err := http.Post(url+"/events", "application/x-ndjson", bytes.NewReader(lines))
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Accepted int
		Rejected []struct{ Line int }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		b.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		b.Fatal(resp.Status)
	}
	all := bytes.SplitAfter(lines, []byte("\n"))
	if answer.Accepted == 0 {
		time.Sleep(20 * time.Millisecond)
		return lines
	}
	if answer.Accepted < bytes.Count(lines, []byte("\n")) {
		return bytes.Join(all[answer.Accepted:], nil) // the backlog is filled from the front
	}
	return nil
}
