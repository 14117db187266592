package component

import (
	"testing"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/enforce"
)

// TestTimeOfAnAttempt: an attempt has time for the file, a run of the command and one
// that verifies it.
func TestTimeOfAnAttempt(t *testing.T) {
	for _, tc := range []struct {
		command string
		want    time.Duration
	}{
		{"", enforce.DefaultTimeout},
		{"command: { argv: [ /bin/sh ], timeout: 3s }", enforce.DefaultTimeout + 6*time.Second},
		{"command: { argv: [ /bin/sh ], timeout: 0s }", enforce.DefaultTimeout + 2*enforce.DefaultCommandTimeout},
	} {
		conf, err := killswitchSpec().ParseYAML("file: /nowhere\n"+tc.command, service.NewEnvironment())
		if err != nil {
			t.Fatal(err)
		}
		if _, got, err := killswitchActions(conf); err != nil || got != tc.want {
			t.Errorf("%q: %s, want %s: %v", tc.command, got, tc.want, err)
		}
	}
}
