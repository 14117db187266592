package correlation

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const wholeCases = `types: [shop.refund]
matches:
  - name: refund
    events:
      - {at: 0s, type: injection.detected, agent: sales}
      - {at: 2s, time: 1s, type: egress.unexpected, source: tetragon, gateway: main, domain: evil.example}
      - {at: 3s, type: shop.refund, id: pay, by: claim, data: {amount: 7}}
    threats:
      - {rule: ACME-1, at: 3s, agent: "", confidence: 0.5, evidence: [e1, pay]}
near_misses:
  - name: nothing
    events:
      - {at: 1m, type: log.tampering}
`

func TestParseCases(t *testing.T) {
	got, err := ParseCases([]File{{Name: "a.yaml"}, {Name: "a.test.yaml", Data: []byte(wholeCases)}}, words)
	if err != nil {
		t.Fatal(err)
	}
	at, nobody, confidence := 3*time.Second, "", 0.5
	want := []Cases{{
		File: "a.test.yaml",
		Matches: []Case{{
			Name: "refund", Line: 3,
			Events: []CaseEvent{
				{ID: "e1", Type: "injection.detected", Source: "openclaw", Agent: "sales", By: "token", Line: 5},
				{
					ID: "e2", At: 2 * time.Second, Time: time.Second, Since: 2 * time.Second, Type: "egress.unexpected", Source: "tetragon",
					Gateway: "main", By: "kernel", Domain: "evil.example", Line: 6,
				},
				{
					ID: "pay", At: 3 * time.Second, Time: 3 * time.Second, Since: 3 * time.Second, Type: "shop.refund", Source: "openclaw",
					By: "claim", Data: map[string]any{"amount": 7}, Line: 7,
				},
			},
			Threats: []CaseThreat{{Rule: "ACME-1", At: &at, Agent: &nobody, Confidence: &confidence, Evidence: []string{"e1", "pay"}, Line: 9}},
		}},
		NearMisses: []Case{{
			Name: "nothing", Line: 11,
			Events: []CaseEvent{{ID: "e1", At: time.Minute, Time: time.Minute, Since: time.Minute, Type: "log.tampering", Source: "openclaw", Line: 13}},
		}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cases (-want +got):\n%s", diff)
	}
}

func TestParseCasesFaults(t *testing.T) {
	tests := []struct{ name, from, to, want string }{
		{"unknown key", "gateway: main", "gatway: main", "a.test.yaml:6: gatway: unknown key"},
		{"threats of a near miss", "      - {at: 1m, type: log.tampering}\n", "      - {at: 1m, type: log.tampering}\n    threats: []\n", "a.test.yaml:14: threats: unknown key"},
		{"no matches", wholeCases, "near_misses: []", "a.test.yaml: matches: is missing or empty: a rule that is never seen to fire proves nothing"},
		{"no name", "name: nothing", "name:", "a.test.yaml: name: is missing"},
		{"no events", "    events:\n      - {at: 1m, type: log.tampering}\n", "", "a.test.yaml:11: events: is missing or empty"},
		{"no threats", "    threats:\n      - {rule: ACME-1, at: 3s, agent: \"\", confidence: 0.5, evidence: [e1, pay]}\n", "", "a.test.yaml:3: threats: is missing or empty"},
		{"no rule", "rule: ACME-1, ", "", "a.test.yaml:9: rule: is missing"},
		{"type", "shop.refund, id", "shop.refnd, id", `a.test.yaml:7: type: "shop.refnd" is a type that g0 does not know; if a sender of yours uses it, list it under the file's types`},
		{"offset", "at: 1m", "at: soon", `a.test.yaml:13: at: "soon" is not a duration such as 20s or 5m, at most a week`},
		{"offset missing", "at: 1m, ", "", "a.test.yaml:13: at: is missing"},
		{"offset backwards", "at: 3s, type: shop", "at: 1s, type: shop", "a.test.yaml:7: at: 1s is before the event above; use time for the source's clock"},
		{"id twice", "id: pay", "id: e1", "a.test.yaml:7: id: e1 is given twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(wholeCases, tt.from, tt.to, 1)
			if bad == wholeCases {
				t.Fatalf("%q is not in the file", tt.from)
			}
			_, err := ParseCases([]File{{Name: "a.test.yaml", Data: []byte(bad)}}, words)
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}
