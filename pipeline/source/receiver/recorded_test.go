package receiver

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const recordedDir = "../../../testdata"

// recorded reads a file of recorded events and its lines.
func recorded(t testing.TB, path string) (body []byte, lines [][]byte) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(recordedDir, path))
	if err != nil {
		t.Fatal(err)
	}
	return body, bytes.Split(bytes.TrimSpace(body), []byte("\n"))
}

func TestRecordedPluginEvents(t *testing.T) {
	for _, path := range []string{
		"openclaw/plugin-events-from-real-gateway.jsonl",
		"openclaw/plugin-events-from-real-gateway-2026.3.13.jsonl",
		"openclaw-plugin/story.jsonl",
	} {
		t.Run(path, func(t *testing.T) {
			g := newRig(t, Config{})
			body, lines := recorded(t, path)
			for _, line := range lines {
				answered(t, g.post("/events", string(line)), 200, one)
			}
			answered(t, g.post("/events", string(body)), 200, fmt.Sprintf(`{"accepted":%d,"rejected":[]}`, len(lines)))
			array := "[" + string(bytes.Join(lines, []byte(", "))) + "]"
			answered(t, g.post("/events", array), 200, fmt.Sprintf(`{"accepted":%d,"rejected":[]}`, len(lines)))
		})
	}
}

func TestRecordedTetragonFiles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordedDir, "tetragon", "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			g := newRig(t, Config{})
			body, lines := recorded(t, filepath.Join("tetragon", filepath.Base(file)))
			want := fmt.Sprintf(`{"accepted":%d,"rejected":[]}`, len(lines))
			answered(t, g.post("/events", string(body)), 200, want)
			answered(t, g.post("/events", zip(t, string(body)), header("Content-Encoding", "gzip")), 200, want)
			for _, ev := range g.sink.events {
				if ev.Source != event.SourceTetragon || ev.Format != event.FormatTetragonJSON {
					t.Fatalf("event of source %q, format %q", ev.Source, ev.Format)
				}
			}
			if _, ok := g.board.Health()["tetragon_export"]; !ok {
				t.Error("the board did not hear of the export")
			}
		})
	}
}

func TestRecordedFalcoAlerts(t *testing.T) {
	g := newRig(t, Config{})
	body, lines := recorded(t, "falco/alerts.jsonl")
	for _, line := range lines {
		answered(t, g.post("/falco", string(line)), 200, one)
	}
	answered(t, g.post("/falco", string(body)), 200, fmt.Sprintf(`{"accepted":%d,"rejected":[]}`, len(lines)))
	for _, ev := range g.sink.events {
		if ev.Source != event.SourceFalco {
			t.Fatalf("event of source %q", ev.Source)
		}
	}
}

// TestRecordedFalcoRequest replays to the byte, but for the path, what Falco's
// http_output sent with the token in its URL.
func TestRecordedFalcoRequest(t *testing.T) {
	raw, _ := recorded(t, "falco/http-output-basic-auth.txt")
	g := serve(t, Config{Address: "127.0.0.1:0", AuthToken: "s3cret-token"})
	raw = bytes.Replace(raw, []byte("POST /v1/falco "), []byte("POST /falco "), 1)
	resp := g.send(t, raw)
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %s", resp.Status)
	}
	if len(g.sink.events) != 1 || g.sink.events[0].Origin.Token != "auth_token" {
		t.Errorf("kept %d events", len(g.sink.events))
	}
}

func TestPolicyModeSettlesTheAction(t *testing.T) {
	asked := map[string]bool{}
	g := newRig(t, Config{PolicyMode: func(policy string) string {
		asked[policy] = true
		return "monitor"
	}})
	body, _ := recorded(t, "tetragon/agent-killed.jsonl")
	g.post("/events", string(body))
	if len(asked) == 0 {
		t.Fatal("no policy was asked for")
	}
	for _, ev := range g.sink.events {
		if ev.Policy != "" && ev.Origin.PolicyMode != "monitor" {
			t.Errorf("policy %s: mode %q", ev.Policy, ev.Origin.PolicyMode)
		}
		if ev.Policy != "" && ev.Action == event.ActionKilled {
			t.Errorf("policy %s in monitor mode is said to have killed", ev.Policy)
		}
	}
}
