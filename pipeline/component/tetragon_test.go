package component

import (
	"strings"
	"testing"
)

func TestExportFileStandsAlone(t *testing.T) {
	tests := []struct{ name, fields, want string }{
		{"alone", "", errNeedsRun.Error()},
		{"with the socket", "address: unix:///run/t.sock", "address is for the gRPC socket"},
		{"with a filter", "deny_list: '[{event_set: [PROCESS_EXIT]}]'", "deny_list is for the gRPC socket"},
		{"with policies", "expect_policies: [ { name: x } ]", "expect_policies is for the gRPC socket"},
		{"with TLS", "tls: { insecure: true }", "tls is for the gRPC socket"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := runPipeline(t, "input:\n  g0_tetragon:\n    export_file: /var/log/tetragon/tetragon.log\n    "+tt.fields+"\n")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
