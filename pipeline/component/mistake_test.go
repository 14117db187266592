package component

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVariablesThatNeedQuotesAreRefused(t *testing.T) {
	env := map[string]string{"PLAIN": "127.0.0.1:6040", "ODD": "abc #def", "BANG": "!abc", "EMPTY": ""}
	v := &variables{lookup: func(name string) (string, bool) { s, ok := env[name]; return s, ok }}
	tests := []struct{ text, want string }{
		{"a: ${PLAIN}", ""},
		{"a: ${EMPTY}", ""},
		{"a: ${UNSET:x}", ""},
		{"a: \"${ODD}\"", ""},
		{"a: b\nc: ${ODD}", `f.yaml:2: put "${ODD}" in double quotes: its value has characters that mean something in YAML`},
		{"a: '${BANG}'", `f.yaml:1: put "${BANG}" in double quotes: its value has characters that mean something in YAML`},
		{"a: ${UNSET}", "f.yaml:1: the variable UNSET is not set; ${UNSET:} would mean that it may be empty"},
	}
	for _, tt := range tests {
		got := ""
		if err := v.check("f.yaml", tt.text); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.text, got, tt.want)
		}
	}
}

func TestErrorsHideSecretsOnly(t *testing.T) {
	env := map[string]string{"API_TOKEN": `12345"678`, "ADDRESS": "10.0.0.1:6040", "AUTH": "true"}
	v := &variables{lookup: func(name string) (string, bool) { s, ok := env[name]; return s, ok }}
	for name := range env {
		v.get(name)
	}
	err := errors.New(`address 10.0.0.1:6040 and 12345"678 and 12345\"678, true`)
	got := v.hide(err).Error()
	if want := "address 10.0.0.1:6040 and " + shownSecret + " and " + shownSecret + ", true"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if plain := errors.New("nothing secret"); v.hide(plain) != plain {
		t.Error("an error without a secret was made anew")
	}
	if strings.Contains(got, "12345") {
		t.Error("the token is shown")
	}
}

// TestCheckTellsAllAtOnce wants one kind of fault to hide none of another, and no
// fault that only follows from one that is told.
func TestCheckTellsAllAtOnce(t *testing.T) {
	const text = `input: { broker: { inputs: [
  g0_receiver: { adress: x },
  g0_internal: {} ] } }
pipeline:
  processors:
    - g0_identify: {}
    - g0_baseline: { min_time: soon }
    - g0_killswitch: { rules: [ { event_type: x, threshold: 0, window: 1s } ] }
    - g0_notify:
        targets:
          - { name: a, url: "${UNSET}" }
          - { name: b, url: "http://b/", format: teams }
`
	want := strings.Join([]string{
		"f.yaml:2: field adress not recognised",
		"f.yaml:7: g0_baseline: failed to parse 'min_time' as a duration string: time: invalid duration \"soon\"",
		"f.yaml:8: g0_killswitch: killswitch: rules[0].threshold: 0 is not between 1 and 1000",
		"f.yaml:11: the variable UNSET is not set; ${UNSET:} would mean that it may be empty",
		"f.yaml:12: value teams is not a valid option for this field",
	}, "\n")
	err := Check("f.yaml", text, func(string) (string, bool) { return "", false })
	if err == nil {
		t.Fatal("no fault")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
