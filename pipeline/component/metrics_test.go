package component_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

// scrape asks the real endpoint.
func (s *sidecar) scrape() []byte {
	s.t.Helper()
	resp, err := http.Get(s.url + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s (%v)", resp.Status, body, err)
	}
	return body
}

// measured runs a sidecar through which an attack has gone, with a target.
func measured(t *testing.T) *sidecar {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hook.Close)
	dir := t.TempDir()
	notify := "- g0_notify: { mode: realtime, targets: [ { name: hook, url: \"" + hook.URL + "\" } ] }"
	s := start(t, dir, pipeline(dir, stages(identifyYAML, "- g0_baseline: {}", correlateYAML, killswitchYAML, notify), "drop: {}"))
	s.post(injection + "\n{}\n" + action + "\n" + `{"type":"made.up.by.research","agentId":"research"}`)
	s.until("delivery", func() bool {
		return bytes.Contains(s.scrape(), []byte("g0_outbox_delivered_alerts_total{target=\"hook\"} "))
	})
	return s
}

func TestMetrics(t *testing.T) {
	s := measured(t)
	s.until("the stop", func() bool { return bytes.Contains(s.scrape(), []byte(`g0_killswitch_agents{state="tripped"} 1`)) })
	got := s.scrape()
	for _, want := range []string{
		`g0_events_accepted_total{source="openclaw"} 3`,
		`g0_events_accepted_by_type_total{type="injection.detected"} 1`,
		`g0_events_accepted_by_type_total{type="other"} 1`,
		`g0_events_rejected_total{reason="bad event"} 1`,
		`g0_correlation_matches_total{rule="CT-001"} 1`,
		`g0_correlation_matches_total{rule="CT-002"} 0`,
		`g0_coverage_lost_events_total{reason="bad event",what="receiver"} 1`,
		`g0_coverage_losses{reason="bad event",what="receiver"} 1`,
		`g0_part_state{part="openclaw",state="connected"} 1`,
		`g0_part_state{part="falco",state="waiting"} 1`,
		`g0_part_state{part="tetragon",state="off"} 1`,
		`g0_outbox_failed_attempts_total{target="hook"} 0`,
		`g0_build_info{goversion="go`,
		"go_goroutines ", "process_open_fds ",
	} {
		if !bytes.Contains(got, []byte(want)) {
			t.Errorf("lacks %s", want)
		}
	}
	if bytes.Contains(got, []byte("research")) {
		t.Error("an agent is named")
	}
	problems, err := promlint.New(bytes.NewReader(got)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetricsOff(t *testing.T) {
	dir := t.TempDir()
	yaml := strings.Replace(pipeline(dir, "- noop: {}", "drop: {}"), "auth_token:", "metrics: false, auth_token:", 1)
	s := start(t, dir, yaml)
	resp, err := http.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("status %d", resp.StatusCode)
	}
}

const metricsHead = "<!-- Written by `make generate` from what a running g0 shows: edit the help texts in the code. -->\n" + `# Metrics

` + "`GET /metrics`" + ` of [the receiver](receiver.md) answers in Prometheus's text form. Nothing
in it names an agent. Counters begin with the process unless they say otherwise.
Beside these there are the usual ` + "`go_*` and `process_*`" + ` of the Go client.

| metric | kind | labels | |
|---|---|---|---|
`

// TestReferenceOfMetrics fails when docs/metrics.md does not list what a running
// sidecar shows; with -update it writes the page anew.
func TestReferenceOfMetrics(t *testing.T) {
	families, err := measured(t).spine.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString(metricsHead)
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "g0_") {
			continue
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), labels(f), f.GetHelp())
	}
	path := filepath.Join("..", "..", "docs", "metrics.md")
	if update := flag.Lookup("update"); update.Value.String() == "true" {
		if err := os.WriteFile(path, []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("%s is stale, run make generate:\n%s", path, diff)
	}
}

// labels lists the labels of a metric's first series.
func labels(f *dto.MetricFamily) string {
	var names []string
	for _, l := range f.GetMetric()[0].GetLabel() {
		names = append(names, "`"+l.GetName()+"`")
	}
	return strings.Join(names, ", ")
}
