package control

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/killswitch"
)

func TestRequestWho(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   Request
		want event.Agent
		err  string
	}{
		{"agent", Request{Agent: "research"}, event.Agent{ID: "research"}, ""},
		{"agent of a gateway", Request{Agent: "a.b_c-d@e", Gateway: "main"}, event.Agent{ID: "a.b_c-d@e", Gateway: "main"}, ""},
		{"gateway", Request{Agent: "gateway:main"}, event.Agent{Gateway: "main"}, ""},
		{"gateway said twice", Request{Agent: "gateway:main", Gateway: "main"}, event.Agent{Gateway: "main"}, ""},
		{"all", Request{All: true}, event.Agent{}, ""},
		{"all of a gateway", Request{All: true, Gateway: "main"}, event.Agent{}, "agent: names one, and all are meant"},
		{"missing", Request{Gateway: "main"}, event.Agent{}, "agent: missing"},
		{"path", Request{Agent: "../etc"}, event.Agent{}, `agent: "../etc" is no agent id and not gateway:NAME`},
		{"escape", Request{Agent: "\x1b[31m"}, event.Agent{}, "agent: \"\ufffd[31m\" is no agent id and not gateway:NAME"},
		{
			"long", Request{Agent: strings.Repeat("a", 10_000)}, event.Agent{},
			`agent: "` + strings.Repeat("a", 63) + `…" is no agent id and not gateway:NAME`,
		},
		{"gateway without a name", Request{Agent: "gateway:"}, event.Agent{}, `agent: "gateway:" names no gateway`},
		{"gateway with a line break", Request{Agent: "gateway:a\nb"}, event.Agent{}, `agent: "gateway:a b" names no gateway`},
		{"two gateways", Request{Agent: "gateway:a", Gateway: "b"}, event.Agent{}, `gateway: is not the one of agent "gateway:a"`},
		{"bad gateway", Request{Agent: "a", Gateway: " b"}, event.Agent{}, `gateway: " b" is no gateway's name`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.in.who()
			if diff := cmp.Diff(tc.err, text(err)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRequestWhy(t *testing.T) {
	for _, tc := range []struct{ name, in, want, err string }{
		{"plain", "  false alarm\n", "false alarm", ""},
		{"cleaned", "a\x1b[2Jb", "a\ufffd[2Jb", ""},
		{"longest", strings.Repeat("é", 500), strings.Repeat("é", 500), ""},
		{"too long", strings.Repeat("é", 501), "", "reason: has 501 characters, at most 500"},
		{"missing", "", "", "reason: missing: say why, for those who read it later"},
		{"blank", " \t\n", "", "reason: missing: say why, for those who read it later"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Request{Reason: tc.in}.why()
			if diff := cmp.Diff([2]string{tc.want, tc.err}, [2]string{got, text(err)}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestOutcome(t *testing.T) {
	held := func(name string) killswitch.ActionResult {
		return killswitch.ActionResult{Action: name, Verified: true}
	}
	broke := func(name string) killswitch.ActionResult {
		return killswitch.ActionResult{Action: name, Error: "no"}
	}
	done := func(name string) killswitch.ActionResult { return killswitch.ActionResult{Action: name} }
	for _, tc := range []struct {
		name    string
		actions []string
		results []killswitch.ActionResult
		intent  string
		want    Outcome
	}{
		{"nothing to do", []string{"file"}, nil, "", OutcomeNone},
		{"no actions configured", nil, nil, "i", OutcomeNone},
		{"no result", []string{"file"}, nil, "i", OutcomePending},
		{"one of two", []string{"file", "cgroup"}, []killswitch.ActionResult{held("file")}, "i", OutcomePending},
		{"failed, other without result", []string{"file", "cgroup"}, []killswitch.ActionResult{broke("file")}, "i", OutcomePending},
		{"result of an action that is no more", []string{"file"}, []killswitch.ActionResult{held("cgroup")}, "i", OutcomePending},
		{"one failed", []string{"file", "cgroup"}, []killswitch.ActionResult{broke("cgroup"), held("file")}, "i", OutcomeFailed},
		{"one cannot be checked", []string{"file", "command"}, []killswitch.ActionResult{done("command"), held("file")}, "i", OutcomeDone},
		{"one failed, one cannot be checked", []string{"file", "command"}, []killswitch.ActionResult{broke("file"), done("command")}, "i", OutcomeFailed},
		{"all hold", []string{"file", "cgroup"}, []killswitch.ActionResult{held("cgroup"), held("file")}, "i", OutcomeVerified},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ks := KillSwitch{Actions: tc.actions}
			got := ks.Outcome(killswitch.AgentStatus{Intent: tc.intent, Actions: tc.results})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
