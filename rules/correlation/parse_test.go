package correlation

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// words is a small vocabulary for tests.
var words = Vocabulary{
	Type: func(n string) bool {
		return slices.Contains([]string{"injection.detected", "egress.unexpected", "log.tampering"}, n)
	},
	Severities: []string{"info", "low", "medium", "high", "critical"},
	Fields:     []string{"process.command"},
	Values:     []string{"file.name", "file.op"},
}

const whole = `types: [shop.refund]
rules:
  - id: ACME-001
    title: Refund after an injection
    type: refund.fraud
    severity: high
    confidence: 0.7
    attack: [T1059, T1552.001]
    atlas: [AML.T0051, AML.T0051.001]
    narrative: >-
      {agent}: {first}, and {span} later {last}.
    key: session
    within: 5m
    sequence:
      - types: ["@security", "!log.tampering"]
      - name: pays
        any:
          - types: [shop.refund]
            where: this.data.amount > 100
          - {types: [egress.unexpected], tools: [exec], has: [process.command]}
    unless:
      types: [log.tampering]
      within: 30s
  - id: ACME-2
    title: Many
    type: many
    severity: low
    confidence: 0
    narrative: "{count}"
    within: 90s
    count:
      of: {types: [injection.detected]}
      min: 5
`

func TestParse(t *testing.T) {
	got, err := Parse([]File{{Name: "a.yaml", Data: []byte(whole)}, {Name: "a.test.yaml", Data: []byte("not: read")}}, words)
	if err != nil {
		t.Fatal(err)
	}
	want := []Rule{{
		ID: "ACME-001", Title: "Refund after an injection", Type: "refund.fraud", Severity: "high", Confidence: 0.7,
		Attack: []string{"T1059", "T1552.001"}, Atlas: []string{"AML.T0051", "AML.T0051.001"},
		Narrative: "{agent}: {first}, and {span} later {last}.", Key: KeySession, Within: 5 * time.Minute,
		Sequence: []Step{
			{Any: []Match{{Types: []string{"@security", "!log.tampering"}}}},
			{Name: "pays", Any: []Match{
				{Types: []string{"shop.refund"}, Where: "this.data.amount > 100", Line: 19},
				{Types: []string{"egress.unexpected"}, Tools: []string{"exec"}, Has: []string{"process.command"}},
			}},
		},
		Unless: &Unless{Step: Step{Any: []Match{{Types: []string{"log.tampering"}}}}, Within: 30 * time.Second},
		File:   "a.yaml", Line: 3,
	}, {
		ID: "ACME-2", Title: "Many", Type: "many", Severity: "low", Narrative: "{count}", Key: KeyAgent, Within: 90 * time.Second,
		Count: &Count{Of: Step{Any: []Match{{Types: []string{"injection.detected"}}}}, Min: 5},
		File:  "a.yaml", Line: 24,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

// Each case changes the good file in one place.
func TestParseFaults(t *testing.T) {
	tests := []struct{ name, from, to, want string }{
		{"unknown key", "severity: high", "severity: high\n    sevrity: low", "a.yaml:7: sevrity: unknown key"},
		{"unknown key in a step", "name: pays", "nam: pays", "a.yaml:16: nam: unknown key"},
		{"unknown key in any", "where: this", "were: this", "a.yaml:19: were: unknown key"},
		{"key twice", "confidence: 0.7", "confidence: 0.7\n    title: x", "a.yaml:8: title: already given at line 4"},
		{"not a number", "confidence: 0.7", "confidence: high", "a.yaml:7: confidence: !!str `high` is not a number"},
		{"not a whole number", "min: 5", "min: 5.5", "a.yaml:33: count.min: 5.5 is not a whole number between 2 and 1024"},
		{"not a list", "attack: [T1059, T1552.001]", "attack: T1059", "a.yaml:8: attack: !!str `T1059` is not a list of texts"},
		{"syntax", "title: Many", "title: [Many", "a.yaml:24: did not find expected ',' or ']'"},
		{"two documents", "types: [shop.refund]", "rules: []\n---", "a.yaml: holds more than one YAML document"},
		{"missing", "    title: Many\n", "", "a.yaml:24: title: is missing"},
		{"null", "title: Many", "title:", "a.yaml:24: title: is missing"},
		{"id", "id: ACME-001", "id: acme-001", `a.yaml:3: id: "acme-001" is not like ACME-001: capital letters, a hyphen, digits`},
		{"id twice", "id: ACME-2", "id: ACME-001", "a.yaml:24: id: ACME-001 is already given at a.yaml:3"},
		{"empty title", "title: Many", `title: " "`, "a.yaml:25: title: is empty"},
		{"title with a control character", "title: Many", `title: "a\eb"`, "a.yaml:25: title: holds a control character or a line break"},
		{"threat twice", "type: many", "type: threat.many", `a.yaml:26: type: write "many": threat. is put in front by g0`},
		{"type", "type: many", "type: Many Things", `a.yaml:26: type: "Many Things" is not lower-case words joined by dots`},
		{"severity", "severity: low", "severity: lowish", `a.yaml:27: severity: "lowish" is none of info, low, medium, high, critical`},
		{"confidence", "confidence: 0.7", "confidence: 1.1", "a.yaml:7: confidence: 1.1 is not between 0 and 1"},
		{"confidence NaN", "confidence: 0.7", "confidence: .nan", "a.yaml:7: confidence: NaN is not between 0 and 1"},
		{"attack", "[T1059, ", "[T159, ", `a.yaml:8: attack: "T159" is not like T1059 or T1552.001`},
		{"atlas twice", "AML.T0051.001", "AML.T0051", "a.yaml:9: atlas: AML.T0051 is given twice"},
		{"placeholder", `"{count}"`, `"{cuont}"`, "a.yaml:29: narrative: {cuont} is none of {agent} {session} {container} {host} {first} {last} {count} {span}"},
		{"key", "key: session", "key: user", `a.yaml:12: key: "user" is none of agent, session, container, host, gateway`},
		{"duration", "within: 5m", "within: 5 minutes", `a.yaml:13: within: "5 minutes" is not a duration such as 90s, 5m, 1h30m`},
		{"no duration", "within: 5m", "within: 0s", "a.yaml:13: within: 0s is not more than 0"},
		{"long duration", "within: 5m", "within: 25h", "a.yaml:13: within: 25h is more than 24h0m0s"},
		{"unless duration", "within: 30s", "within: -1s", "a.yaml:23: unless.within: -1s is not more than 0"},
		{"two forms", "    count:", "    all: [{types: [log.tampering]}, {types: [log.tampering]}]\n    count:", "a.yaml:24: needs exactly one of all, sequence, count; has 2"},
		{"one step", "sequence:\n      - types: [\"@security\", \"!log.tampering\"]\n", "sequence:\n", "a.yaml:3: sequence: has 1 steps; 2 to 8 are possible"},
		{"count of one", "min: 5", "min: 1", "a.yaml:33: count.min: 1 is not a whole number between 2 and 1024"},
		{"no of", "      of: {types: [injection.detected]}\n", "", "a.yaml:24: count.of: is missing"},
		{"any and types", "name: pays", "types: [log.tampering]", "a.yaml:18: sequence[1]: has any and, beside it, types, tools, has, is or where: put them inside any"},
		{"unknown type", "of: {types: [injection.detected]}", "of: {types: [injection.detectd]}",
			`a.yaml:32: count.of.types: "injection.detectd" is a type that g0 does not know; if a sender of yours uses it, list it under the file's types`},
		{"threat type", "of: {types: [injection.detected]}", "of: {types: [threat.x]}", `a.yaml:32: count.of.types: "threat.x": threats are not seen by correlation rules`},
		{"group", "@security", "@all", `a.yaml:15: sequence[0].types: "@all" is not a group; there is only @security`},
		{"nothing wanted", `"@security", "!`, `"!`, "a.yaml:15: sequence[0].types: only takes types out"},
		{"no types", "[injection.detected]", "[]", "a.yaml:32: count.of.types: has 0 entries; 1 to 64 are possible"},
		{"tools", "tools: [exec]", "tools: [exec, exec]", `a.yaml:20: sequence[1].any[1].tools: "exec" is given twice`},
		{"has", "has: [process.command]", "has: [process.cmd]", `a.yaml:20: sequence[1].any[1].has: "process.cmd" is none of process.command`},
		{"own type known", "types: [shop.refund]", "types: [shop.refund, log.tampering]", "a.yaml:1: types: log.tampering is known to g0 and need not be listed"},
		{"own type", "types: [shop.refund]", "types: [shop.refund, Shop]", `a.yaml:1: types: "Shop" is not a type: lower-case words joined by dots`},
		{"empty", whole, "", "a.yaml: is empty"},
		{"no rules", whole, "rules: []", "a.yaml: rules: is missing or empty"},
		{"not UTF-8", "Many", "\xff", "a.yaml: is not UTF-8"},
		{"several at once", "severity: low\n    confidence: 0\n", "severity: x\n    confidence: -1\n    color: red\n",
			"a.yaml:27: severity: \"x\" is none of info, low, medium, high, critical\na.yaml:28: confidence: -1 is not between 0 and 1\na.yaml:29: color: unknown key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(whole, tt.from, tt.to, 1)
			if bad == whole {
				t.Fatalf("%q is not in the file", tt.from)
			}
			rules, err := Parse([]File{{Name: "a.yaml", Data: []byte(bad)}}, words)
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" || rules != nil {
				t.Errorf("%d rules, error (-want +got):\n%s", len(rules), diff)
			}
		})
	}
}

const nearby = `rules:
  - id: ACME-003
    title: Nearby
    type: nearby
    severity: high
    confidence: 0.7
    narrative: "{count}"
    key: gateway
    within: 1m
    distinct: process
    all:
      - types: [injection.detected]
        is:
          file.op: [write, rename]
          file.name: ["!notes.md"]
      - types: [log.tampering]
    unless:
      types: [egress.unexpected]
      before: 2s
      within: 3s
      same: command
`

func TestParseNearby(t *testing.T) {
	got, err := Parse([]File{{Name: "a.yaml", Data: []byte(nearby)}}, words)
	if err != nil {
		t.Fatal(err)
	}
	want := []Rule{{
		ID: "ACME-003", Title: "Nearby", Type: "nearby", Severity: "high", Confidence: 0.7, Narrative: "{count}",
		Key: KeyGateway, Within: time.Minute, Distinct: DistinctProcess,
		All: []Step{
			{Any: []Match{{Types: []string{"injection.detected"}, Is: []Is{
				{Field: "file.name", Values: []string{"!notes.md"}}, {Field: "file.op", Values: []string{"write", "rename"}},
			}}}},
			{Any: []Match{{Types: []string{"log.tampering"}}}},
		},
		Unless: &Unless{
			Step:   Step{Any: []Match{{Types: []string{"egress.unexpected"}}}},
			Before: 2 * time.Second, Within: 3 * time.Second, Same: SameCommand,
		},
		File: "a.yaml", Line: 2,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

func TestParseNearbyFaults(t *testing.T) {
	const steps = "    all:\n      - types: [injection.detected]\n        is:\n          file.op: [write, rename]\n          file.name: [\"!notes.md\"]\n      - types: [log.tampering]\n"
	tests := []struct{ name, from, to, want string }{
		{"distinct", "distinct: process", "distinct: host", `a.yaml:10: distinct: "host" is none of process`},
		{"distinct of a count", steps, "    count: {of: {types: [log.tampering]}, min: 2}\n", "a.yaml:10: distinct: needs a rule of two steps\n" +
			"a.yaml:16: unless: before and same speak of the last step, and a count has none"},
		{"distinct of three", "      - types: [log.tampering]\n", "      - types: [log.tampering]\n      - types: [log.tampering]\n", "a.yaml:10: distinct: needs a rule of two steps"},
		{"same", "same: command", "same: tool", `a.yaml:21: unless.same: "tool" is none of command`},
		{"before", "before: 2s", "before: 25h", "a.yaml:19: unless.before: 25h is more than 24h0m0s"},
		{"field", "file.op", "file.opp", `a.yaml:14: all[0].is: "file.opp" is none of file.name, file.op`},
		{"field twice", "file.name", "file.op", "a.yaml:15: all[0].is.file.op: is given twice"},
		{"value twice", "[write, rename]", "[write, write]", `a.yaml:14: all[0].is.file.op: "write" is given twice`},
		{"no values", "[write, rename]", "[]", "a.yaml:14: all[0].is.file.op: has 0 entries; 1 to 64 are possible"},
		{"empty value", "[write, rename]", `[write, "!"]`, "a.yaml:14: all[0].is.file.op: holds an empty value"},
		{"no list", "[write, rename]", "write", "a.yaml:14: all[0].is.file.op: is not a list of texts"},
		{"no mapping", "is:\n          file.op: [write, rename]\n          file.name: [\"!notes.md\"]\n", "is: [write]\n",
			"a.yaml:13: all[0].is: is not a field and a list of its values, such as file.op: [write, rename]"},
		{"empty mapping", "is:\n          file.op: [write, rename]\n          file.name: [\"!notes.md\"]\n", "is: {}\n",
			"a.yaml:13: all[0].is: is not a field and a list of its values, such as file.op: [write, rename]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(nearby, tt.from, tt.to, 1)
			if bad == nearby {
				t.Fatalf("%q is not in the file", tt.from)
			}
			_, err := Parse([]File{{Name: "a.yaml", Data: []byte(bad)}}, words)
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseTellsFaultsOfAllFiles(t *testing.T) {
	_, err := Parse([]File{
		{Name: "a.yaml", Data: []byte(whole)},
		{Name: "b.yaml", Data: []byte(whole)},
		{Name: "c.yaml", Data: []byte("rules: 7")},
	}, words)
	want := "b.yaml:3: id: ACME-001 is already given at a.yaml:3\n" +
		"b.yaml:24: id: ACME-2 is already given at a.yaml:24\n" +
		"c.yaml:1: rules: !!int `7` is not of this form"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestFingerprint(t *testing.T) {
	parse := func(text string) Rule {
		rules, err := Parse([]File{{Name: "a.yaml", Data: []byte(text)}}, words)
		if err != nil {
			t.Fatal(err)
		}
		return rules[0]
	}
	r := parse(whole)
	if moved := parse("# a comment\n" + whole); moved.Fingerprint() != r.Fingerprint() {
		t.Error("moving a rule changes its fingerprint")
	}
	if changed := parse(strings.Replace(whole, "within: 30s", "within: 31s", 1)); changed.Fingerprint() == r.Fingerprint() {
		t.Error("changing a rule keeps its fingerprint")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(nearby))
	for _, file := range Builtin() {
		f.Add(file.Data)
	}
	f.Add([]byte("rules:\n- &a {id: *a}\n"))
	f.Add([]byte("rules: [{<<: {id: A-1}, all: [{any: []}]}]"))
	all := words
	all.Type = func(string) bool { return true }
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := Parse([]File{{Name: "a.yaml", Data: data}}, all)
		if (err == nil) == (len(rules) == 0) {
			t.Errorf("%d rules and error %v", len(rules), err)
		}
		for _, r := range rules { // what was accepted can be used
			r.Fingerprint()
			if n := len(r.Steps()); n < 1 || n > MaxSteps || r.Within <= 0 || r.Within > MaxWithin {
				t.Errorf("accepted %+v", r)
			}
		}
	})
}
