package correlate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

const (
	inj  = event.TypeInjectionDetected
	egr  = event.TypeEgressUnexpected
	cred = event.TypeCredentialAccess
	root = event.TypeContainerRoot
)

const sequenceBody = `
    within: 1m
    sequence:
      - types: [injection.detected]
      - types: [egress.unexpected]
`

func TestForms(t *testing.T) {
	const sec = time.Second
	tests := []struct {
		name, body string
		events     []*event.Event
		want       []string
	}{
		{
			name:   "count fires at min, then is mute for the window",
			body:   "    within: 10s\n    count: {of: {types: [injection.detected]}, min: 3}",
			events: []*event.Event{at(0, inj, "a"), at(sec, inj, "a"), at(2*sec, inj, "a"), at(3*sec, inj, "a"), at(12*sec, inj, "a"), at(13*sec, inj, "a")},
			want:   []string{"2s CT-1 a [0s 1s 2s]", "13s CT-1 a [3s 12s 13s]"},
		},
		{
			name:   "count does not add up over the window or over agents",
			body:   "    within: 10s\n    count: {of: {types: [injection.detected]}, min: 3}",
			events: []*event.Event{at(0, inj, "a"), at(sec, inj, "b"), at(2*sec, inj, "a"), at(11*sec, inj, "a")},
		},
		{
			name: "all needs a different event for each step",
			body: `
    within: 1m
    all:
      - types: [injection.detected, egress.unexpected]
      - types: [injection.detected]
`,
			events: []*event.Event{at(0, inj, "a"), at(sec, inj, "b"), at(2*sec, egr, "a"), at(3*sec, egr, "b")},
			want:   []string{"2s CT-1 a [0s 2s]", "3s CT-1 b [1s 3s]"},
		},
		{
			name:   "unless without within looks back only",
			body:   sequenceBody + "    unless: {types: [credential.access]}",
			events: []*event.Event{at(0, cred, "a"), at(sec, inj, "a"), at(2*sec, egr, "a"), at(3*sec, inj, "b"), at(4*sec, egr, "b"), at(5*sec, cred, "b")},
			want:   []string{"4s CT-1 b [3s 4s]"},
		},
		{
			name:   "unless with within waits for the timer",
			body:   sequenceBody + "    unless: {types: [credential.access], within: 30s}",
			events: []*event.Event{at(0, inj, "a"), at(sec, egr, "a"), at(2*sec, egr, "a"), timer(9, start.Add(30*sec)), timer(9, start.Add(31*sec)), timer(9, start.Add(90*sec))},
			want:   []string{"31s CT-1 a [0s 1s]"},
		},
		{
			name:   "unless with within takes back what waits",
			body:   sequenceBody + "    unless: {types: [credential.access], within: 30s}",
			events: []*event.Event{at(0, inj, "a"), at(sec, egr, "a"), at(20*sec, cred, "a"), timer(9, start.Add(31*sec))},
		},
		{
			name:   "unless that comes too late, though before the timer, takes nothing back",
			body:   sequenceBody + "    unless: {types: [credential.access], within: 30s}",
			events: []*event.Event{at(0, inj, "a"), at(sec, egr, "a"), at(32*sec, cred, "a"), timer(9, start.Add(33*sec))},
			want:   []string{"33s CT-1 a [0s 1s]"},
		},
		{
			name:   "of one instant, in either order",
			body:   sequenceBody,
			events: []*event.Event{at(0, egr, "a"), at(0, inj, "a"), at(0, inj, "b"), at(0, egr, "b")},
			want:   []string{"0s CT-1 a [0s 0s]", "0s CT-1 b [0s 0s]"},
		},
		{
			name:   "a hit under mute counts after it",
			body:   sequenceBody,
			events: []*event.Event{at(0, inj, "a"), at(sec, egr, "a"), at(59*sec, inj, "a"), at(61*sec, egr, "a"), at(62*sec, egr, "a")},
			want:   []string{"1s CT-1 a [0s 1s]", "1m2s CT-1 a [59s 1m2s]"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", tt.body))})
			if diff := cmp.Diff(tt.want, says(e, tt.events...)); diff != "" {
				t.Errorf("threats (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	first, second := at(0, inj, "a"), at(time.Second, egr, "b")
	for _, ev := range []*event.Event{first, second} {
		ev.Session.Key, ev.Container.ID, ev.Host, ev.Agent.Gateway = "agent:main:main", "c0ffee", "node1", "g"
	}
	same := at(2*time.Second, egr, "a")
	same.Session, same.Agent.Gateway = first.Session, "g"
	tests := []struct {
		key  string
		want []string
	}{
		{"agent", []string{"2s CT-1 a [0s 2s]"}},
		{"session", []string{"2s CT-1 a [0s 2s]"}}, // b only claims that session
		{"container", []string{"1s CT-1 gateway:g [0s 1s]"}},
		{"host", []string{"1s CT-1 gateway:g [0s 1s]"}}, // two agents: nobody is named
	}
	for _, tt := range tests {
		t.Run(tt.key, func(t *testing.T) {
			e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", "    key: "+tt.key+sequenceBody))})
			if diff := cmp.Diff(tt.want, says(e, first, second, same)); diff != "" {
				t.Errorf("threats (-want +got):\n%s", diff)
			}
		})
	}
}

func TestThreatEvent(t *testing.T) {
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", sequenceBody))})
	first, second := at(0, inj, "a"), at(1500*time.Millisecond, egr, "")
	first.Agent.Gateway, second.Agent.Gateway, second.Agent.By = "g", "g", event.ByKernel
	second.Source = event.SourceTetragon
	e.Apply(first)
	got := e.Apply(second)
	proof := func(ev *event.Event) event.Proof {
		return event.Proof{ID: ev.ID, Type: ev.Type, Source: ev.Source, Received: ev.Received, Summary: ev.Summary()}
	}
	want := second.Derive("correlate", "threat.test", "ct-1")
	want.Severity = event.SeverityHigh
	want.Agent = event.Agent{ID: "a", Gateway: "g", By: event.ByToken}
	want.Threat = &event.Threat{
		Rule: "CT-1", Title: "Test", Confidence: 0.64, Inferred: true, Suspects: []string{"a"},
		Narrative: "the process of gateway g (suspected: a): " + first.Summary() + ", then " + second.Summary() + "; 2 in 1.5s",
		Evidence:  []event.Proof{proof(first), proof(second)},
	}
	if diff := cmp.Diff(string(want.AppendJSON(nil)), string(got[0].AppendJSON(nil))); diff != "" || len(got) != 1 {
		t.Errorf("%d threats (-want +got):\n%s", len(got), diff)
	}
}

func TestTimersGiveDifferentIDs(t *testing.T) {
	body := sequenceBody + "    unless: {types: [credential.access], within: 30s}"
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", body))})
	for _, agent := range []string{"a", "b"} {
		says(e, at(0, inj, agent), at(time.Second, egr, agent))
	}
	if want, got := start.Add(31*time.Second), e.NextDeadline(); !got.Equal(want) {
		t.Errorf("deadline %s, want %s", got, want)
	}
	out := e.Apply(timer(9, start.Add(40*time.Second)))
	if len(out) != 2 || out[0].ID == out[1].ID || out[0].Agent.ID != "a" || out[1].Agent.ID != "b" {
		t.Fatalf("timer gave %v", out)
	}
	if out[0].Cause != "t9" || !strings.HasPrefix(out[0].ID, "t9-ct-1-") {
		t.Errorf("derived from %q as %q", out[0].Cause, out[0].ID)
	}
	if got := e.NextDeadline(); !got.IsZero() {
		t.Errorf("deadline %s, want none", got)
	}
}

func TestConditions(t *testing.T) {
	body := `
    within: 1m
    sequence:
      - types: [injection.detected]
        where: message
      - {name: sent, types: [egress.unexpected, agent.cross_access], where: broken}
`
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", body)), Compile: conditions})
	told := at(time.Second, inj, "a")
	told.Message = "ignore all"
	// The loss is told at once, again after an hour, with what came meanwhile.
	got := says(e, at(0, inj, "a"), told, at(2*time.Second, egr, "a"), at(3*time.Second, egr, "a"), at(4*time.Second, egr, "b"),
		at(time.Hour+time.Second, inj, "c"), at(time.Hour+2*time.Second, inj, "c"))
	want := []string{"2s coverage.lost condition error 1", "1h0m2s coverage.lost condition error 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := e.NextDeadline(); !got.IsZero() {
		t.Errorf("deadline %s after all was told", got)
	}
}

func TestNewRefuses(t *testing.T) {
	where := load(t, ruleText("CT-1", "    within: 1m\n    count: {of: {types: [error], where: nonsense}, min: 2}"))
	plain := load(t, ruleText("CT-1", sequenceBody))
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"condition", Config{Rules: where, Compile: conditions}, `correlate: rules0.yaml:9: where: unexpected "nonsense"`},
		{"no compiler", Config{Rules: where}, "correlate: rules0.yaml:9: where: conditions cannot be compiled here"},
		{"twice", Config{Rules: append(plain, plain...)}, "correlate: rule CT-1 is given twice"},
		{"keys", Config{MaxKeys: 1}, "correlate: max keys 1: out of range"},
		{"hits", Config{MaxHits: 1}, "correlate: max hits 1: out of range"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.cfg)
			if diff := cmp.Diff(tt.want, fmt.Sprint(err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUserRuleFromFolder(t *testing.T) {
	dir := t.TempDir()
	rule := "types: [shop.refund]\n" + ruleText("SHOP-1", `
    within: 1m
    sequence:
      - types: [injection.detected]
      - types: [shop.refund]
        where: message
`)
	cases := `
types: [shop.refund]
matches:
  - name: refund
    events:
      - {at: 0s, type: injection.detected, agent: sales}
      - {at: 1s, type: shop.refund, agent: sales, message: paid}
    threats: [{rule: SHOP-1, agent: sales}]
  - name: wrong on purpose
    events:
      - {at: 0s, type: injection.detected, agent: sales}
    threats: [{rule: SHOP-1, agent: sales}]
near_misses:
  - name: no message
    events:
      - {at: 0s, type: injection.detected, agent: sales}
      - {at: 1s, type: shop.refund, agent: sales}
`
	for name, text := range map[string]string{"shop.yaml": rule, "shop.test.yaml": cases} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := correlation.ReadFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	results, err := RunCases(append(correlation.Builtin(), files...), conditions)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, r := range results {
		if r.Err != nil {
			failed = append(failed, fmt.Sprintf("%s: %v", r.Name, r.Err))
		}
	}
	want := []string{"wrong on purpose: line 12: the threat of SHOP-1 did not come"}
	if diff := cmp.Diff(want, failed); diff != "" {
		t.Errorf("failed cases (-want +got):\n%s", diff)
	}
}
