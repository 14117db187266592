package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/guard0-ai/g0-sidecar/pipeline/control"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// testToken is the ingest token of the pipelines here.
const testToken = "ingest-token-of-these-tests"

// process is a g0 run in a process of its own, on a folder of its own.
type process struct {
	t      *testing.T
	dir    string
	url    string
	client *http.Client
	cmd    *exec.Cmd
}

// newProcess makes a g0 that is not started yet. In the pipeline $DIR stands for
// its folder, $ADDRESS for the receiver's and $INPUT for the inputs.
func newProcess(t *testing.T, pipeline string) *process {
	t.Helper()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	p := &process{
		t: t, dir: t.TempDir(), url: "http://" + address,
		client: &http.Client{Transport: transport, Timeout: patience},
	}
	text := strings.NewReplacer("$DIR", p.dir, "$ADDRESS", address, "$INPUT", `input:
  broker:
    inputs:
      - g0_receiver: { address: "`+address+`", auth_token: `+testToken+` }
      - g0_internal: {}`).Replace(pipeline)
	if err := os.WriteFile(p.path("pipeline.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *process) path(name string) string { return filepath.Join(p.dir, name) }

// start starts it and waits until it is healthy.
func (p *process) start() {
	p.t.Helper()
	log, err := os.OpenFile(p.path("g0.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close() // the process has its own
	p.cmd = exec.Command("g0", "run", "--pipeline", p.path("pipeline.yaml"), "--state", p.path("state"))
	p.cmd.Env = append(os.Environ(), "HOME="+p.dir)
	p.cmd.Stderr = log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(p.kill)
	p.until("healthy", func() bool {
		resp, err := p.client.Get(p.url + "/health")
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// kill ends it as a power cut would.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait() // "signal: killed" is what was asked for
	}
}

// stop ends it as an init system does.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("g0 run: %v; its log ends with\n%s", err, p.log())
	}
}

// log is the end of what it logged.
func (p *process) log() string {
	b, err := os.ReadFile(p.path("g0.log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-8000):])
}

// until waits for ok, which must come true soon.
func (p *process) until(what string, ok func() bool) {
	p.t.Helper()
	if !soon(ok) {
		p.t.Fatalf("never came: %s; g0's log ends with\n%s", what, p.log())
	}
}

// try posts a body with the token. The status is 0 where there was no answer.
func (p *process) try(path string, body []byte) (status int, answer string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, p.url+path, bytes.NewReader(body))
	if err != nil {
		p.t.Error(err)
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+testToken)
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// stats are what the tests look at of g0's statistics.
type stats struct {
	Accepted uint64            `json:"accepted"`
	Rejected uint64            `json:"rejected"`
	Sources  map[string]uint64 `json:"sources"`
	Agents   map[string]struct {
		Events uint64 `json:"events"`
	} `json:"agents"`
}

// stats asks the control socket, which names agents.
func (p *process) stats() (st stats) {
	p.t.Helper()
	b, err := control.NewClient(controlSocket(p.path("state"))).Stats(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := json.Unmarshal(b, &st); err != nil {
		p.t.Fatal(err)
	}
	return st
}

// health is what the tests look at of g0's health.
type health struct {
	Backlog struct {
		Backlog uint64 `json:"backlog"`
	} `json:"backlog"`
	Outbox struct {
		Targets []struct {
			Pending int `json:"pending"`
		} `json:"targets"`
		Unstored int `json:"unstored"`
	} `json:"outbox"`
}

// atRest says whether everything accepted was decided on and every alert taken.
func (p *process) atRest() bool {
	b, err := control.NewClient(controlSocket(p.path("state"))).Health(p.t.Context())
	if err != nil {
		return false
	}
	var h health
	if err := json.Unmarshal(b, &h); err != nil {
		p.t.Fatal(err)
	}
	for _, t := range h.Outbox.Targets {
		if t.Pending > 0 {
			return false
		}
	}
	return h.Backlog.Backlog == 0 && h.Outbox.Unstored == 0
}

// output reads the events of a file output, repeats included. A kill can cut a
// line short, and the next process writes on in the middle of it.
func (p *process) output(name string) (evs []*event.Event) {
	p.t.Helper()
	b, err := os.ReadFile(p.path(name))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		evs = append(evs, eventsOf(line)...)
	}
	return evs
}

// eventsOf finds the whole events in a line.
func eventsOf(line []byte) (evs []*event.Event) {
	if ev, err := event.Decode(line); err == nil {
		return []*event.Event{ev}
	}
	start := []byte(`{"schema":`)
	for at := bytes.LastIndex(line, start); at >= 0; at = bytes.LastIndex(line, start) {
		if ev, err := event.Decode(line[at:]); err == nil {
			evs = append(evs, ev)
			line = line[:at]
			continue
		}
		line = line[:at] // cut short, or quoted by the one before
	}
	return evs
}
