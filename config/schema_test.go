package config

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	judge "github.com/santhosh-tekuri/jsonschema/v6"
)

//go:generate go test -count=1 -run TestDaemonSchema$ . -update

var update = flag.Bool("update", false, "write daemon.schema.json anew")

// daemonSchema takes keys and descriptions from the types, defaults from
// [DefaultDaemon], and what values a key may have from where they are checked.
func daemonSchema(t *testing.T) string {
	r := jsonschema.Reflector{FieldNameTag: "yaml", DoNotReference: true, RequiredFromJSONSchemaTags: true}
	if err := r.AddGoComments("github.com/guard0-ai/g0-sidecar/config", "."); err != nil {
		t.Fatal(err)
	}
	s := r.Reflect(Daemon{})
	s.Title, s.ID = "daemon.json of g0", ""
	at := func(path string) *jsonschema.Schema {
		p := s
		for key := range strings.SplitSeq(path, ".") {
			next, ok := p.Properties.Get(key)
			if !ok {
				t.Fatalf("no key %s of %s", key, path)
			}
			p = next
		}
		return p
	}
	for path, names := range map[string][]string{
		"alerting.format": formats, "alerting.minSeverity": severities, "alerting.notifications.mode": modes,
	} {
		for _, name := range names {
			at(path).Enum = append(at(path).Enum, name)
		}
	}
	defaults(s, reflect.ValueOf(DefaultDaemon()))
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

// defaults notes the values of v that are not zero.
func defaults(s *jsonschema.Schema, v reflect.Value) {
	for f, value := range v.Fields() {
		p, ok := s.Properties.Get(f.Tag.Get("yaml"))
		switch {
		case !ok:
		case value.Kind() == reflect.Struct:
			defaults(p, value)
		case !value.IsZero():
			p.Default = value.Interface()
		}
	}
}

func TestDaemonSchema(t *testing.T) {
	want := daemonSchema(t)
	if *update {
		if err := os.WriteFile("daemon.schema.json", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, DaemonSchema); diff != "" {
		t.Errorf("daemon.schema.json is stale, run make generate:\n%s", diff)
	}
}

func TestDaemonSchemaJudges(t *testing.T) {
	doc, err := judge.UnmarshalJSON(strings.NewReader(DaemonSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := judge.NewCompiler()
	if err := c.AddResource("daemon.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("daemon.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, json, fault string }{
		{"nothing", `{}`, ""},
		{"the specification's", `{"eventReceiver":{"enabled":true,"port":6040,"bind":"127.0.0.1","authToken":"s"},"alerting":{"format":"slack","notifications":{"mode":"interval","intervalMinutes":5}},"killSwitch":{"rules":[{"eventType":"tool.blocked","threshold":3,"windowSeconds":60}]}}`, ""},
		{"a slip of the pen", `{"alerting":{"webhookURL":"x"}}`, "/alerting"},
		{"not a mode", `{"alerting":{"notifications":{"mode":"daily"}}}`, "/alerting/notifications/mode"},
		{"not a number", `{"eventReceiver":{"port":"6040"}}`, "/eventReceiver/port"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := judge.UnmarshalJSON(strings.NewReader(tc.json))
			if err != nil {
				t.Fatal(err)
			}
			err = schema.Validate(v)
			if (tc.fault == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), "'"+tc.fault+"'") {
				t.Errorf("%v, wanted a fault at %q", err, tc.fault)
			}
		})
	}
}
