package config

import (
	"flag"
	"strings"
	"testing"

	judge "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/guard0-ai/g0-sidecar/config/schematest"
)

//go:generate go test -count=1 -run TestDaemonSchema$ . -update

var update = flag.Bool("update", false, "write daemon.schema.json anew")

// daemonSchema takes keys and descriptions from the types, defaults from
// [DefaultDaemon], and what values a key may have from where they are checked.
var daemonSchema = schematest.Config{
	Title: "daemon.json of g0", Package: "github.com/guard0-ai/g0-sidecar/config", Default: DefaultDaemon(),
	Enums: map[string][]string{
		"alerting.format": formats, "alerting.minSeverity": severities, "alerting.notifications.mode": modes,
	},
}

func TestDaemonSchema(t *testing.T) {
	schematest.Keep(t, *update, "daemon.schema.json", daemonSchema.Text(t), DaemonSchema)
}

func TestDaemonSchemaJudges(t *testing.T) {
	schema := schematest.Compile(t, DaemonSchema)
	for _, tc := range []struct{ name, json, fault string }{
		{"nothing", `{}`, ""},
		{"the specification's", `{"eventReceiver":{"enabled":true,"port":6040,"bind":"127.0.0.1","authToken":"s"},"alerting":{"format":"slack","notifications":{"mode":"interval","intervalMinutes":5}},"killSwitch":{"rules":[{"eventType":"tool.blocked","threshold":3,"windowSeconds":60}]}}`, ""},
		{"a slip of the pen", `{"alerting":{"webhookURL":"x"}}`, "'/alerting'"},
		{"not a mode", `{"alerting":{"notifications":{"mode":"daily"}}}`, "'/alerting/notifications/mode'"},
		{"not a number", `{"eventReceiver":{"port":"6040"}}`, "'/eventReceiver/port'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := judge.UnmarshalJSON(strings.NewReader(tc.json))
			if err != nil {
				t.Fatal(err)
			}
			schematest.Judge(t, schema, v, tc.fault)
		})
	}
}
