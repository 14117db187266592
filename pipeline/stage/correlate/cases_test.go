package correlate

import (
	"testing"

	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

func TestBuiltinRulesMeetTheirCases(t *testing.T) {
	results, err := RunCases(correlation.Builtin(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		t.Run(r.File+"/"+r.Name, func(t *testing.T) {
			if r.Err != nil {
				t.Errorf("%s:%d: %v", r.File, r.Line, r.Err)
			}
		})
	}
}
