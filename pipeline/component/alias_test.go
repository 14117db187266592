package component

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What stands behind an alias is a processor like any other: it gets contents.
func TestAliasesHideNoProcessor(t *testing.T) {
	const inputs = "input: { broker: { inputs: [ { g0_receiver: {} }, { g0_internal: {} } ] } }\n"
	for _, c := range []struct {
		name, yaml string
		deferred   bool
		content    bool // is written before a processor
	}{
		{"a list of processors", "shared: &p [ { mapping: root = this } ]\n" + inputs + "pipeline: { processors: *p }", true, true},
		{"a pipeline", "shared: &p { processors: [ { mapping: root = this } ] }\n" + inputs + "pipeline: *p", true, true},
		{"a stage", "shared: &p { g0_identify: {} }\n" + inputs + "pipeline: { processors: [ *p ] }", true, false},
		{"inputs with a processor", "shared: &i [ { g0_receiver: {}, processors: [ { mapping: root = this } ] } ]\n" +
			"input: { broker: { inputs: *i } }", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, deferred, err := complete(c.yaml, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]bool{c.deferred, c.content}, []bool{deferred, strings.Contains(text, contentName)}); diff != "" {
				t.Errorf("deferred, content (-want +got):\n%s\n%s", diff, text)
			}
		})
	}
}

func TestAliasesAreBounded(t *testing.T) {
	bomb, last := "a: &a [ 1, 1 ]\n", "a"
	for range 20 {
		next := last + "a"
		bomb += next + ": &" + next + " [ *" + last + ", *" + last + " ]\n"
		last = next
	}
	for name, text := range map[string]string{"many": bomb, "in itself": "a: &a [ *a ]"} {
		if _, err := parseDocument(text); !errors.Is(err, errTooManyNodes) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
