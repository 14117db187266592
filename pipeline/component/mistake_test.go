package component

import (
	"errors"
	"strings"
	"testing"
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
