package component

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/notify"
)

func TestTargets(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("pd-key-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{"HOOK_URL": `https://hooks.example/"secret\x`}
	lookup := func(name string) (string, bool) { v, ok := variables[name]; return v, ok }
	for _, tc := range []struct {
		name, processors string
		want             []notify.Target
		wantErr          string
	}{
		{name: "none", processors: "- g0_notify: {}"},
		{name: "no stage", processors: "- g0_identify: {}"},
		{
			name: "all fields", processors: `
    - g0_notify:
        mode: off
        targets:
          - { name: chat, format: slack, url: "${HOOK_URL}" }
          - name: pager
            format: pagerduty
            routing_key_file: ` + key + `
            headers: { X: "${NOT_SET:y}" }
            min_severity: high
            timeout: 3s
            private: deny`,
			want: []notify.Target{
				{
					Name: "chat", Format: "slack", URL: config.Secret(`https://hooks.example/"secret\x`), Headers: map[string]config.Secret{},
					Timeout: notify.DefaultTimeout, Private: notify.PrivateAllow, MinSeverity: event.SeverityInfo,
				},
				{
					Name: "pager", Format: "pagerduty", RoutingKey: "pd-key-secret", Headers: map[string]config.Secret{"X": "y"},
					Timeout: 3 * time.Second, Private: notify.PrivateDeny, MinSeverity: event.SeverityHigh,
				},
			},
		},
		{name: "bad target", processors: `- g0_notify: { targets: [ { name: x, url: "ftp://secret" } ] }`, wantErr: `p.yaml: target "x": url is not a whole http:// or https:// URL`},
		{name: "unknown field", processors: `- g0_notify: { targets: [ { name: x, URL: x } ] }`, wantErr: "p.yaml:6: field URL not recognised"},
		{name: "variable", processors: `- g0_notify: { targets: [ { name: x, url: "${NOWHERE}" } ] }`, wantErr: "p.yaml:6: the variable NOWHERE is not set"},
		{name: "two secrets", processors: `- g0_notify: { targets: [ { name: x, url: "http://secret", url_file: ` + key + ` } ] }`, wantErr: "url and url_file: give one of them"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env := NewEnvironment()
			if err := Register(env, &Runtime{}); err != nil {
				t.Fatal(err)
			}
			text := "input:\n  g0_receiver: {}\n\npipeline:\n  processors:\n    " + strings.TrimSpace(tc.processors) + "\n"
			got, err := Targets(env, "p.yaml", text, lookup)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) || strings.Contains(err.Error(), "secret") {
					t.Errorf("error %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
