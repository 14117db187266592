package event

import (
	"bytes"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// full has a value in every field.
func full() *Event {
	at := time.Date(2026, 11, 23, 13, 4, 24, 878619200, time.UTC)
	uid := uint32(0)
	return &Event{
		Schema: SchemaVersion, ID: "01JD", Seq: math.MaxUint64, Source: SourceOpenClaw, Sender: "g0-plugin",
		Type: "threat.x", Time: at, Received: at.Add(time.Nanosecond), Severity: SeverityHigh,
		Agent:     Agent{ID: "a", Gateway: "g", By: ByKernel, Claim: "b"},
		Session:   Session{ID: "s", Key: "agent:a:main"},
		Container: Container{ID: "c", Name: "n", Image: "i", Pod: "p", Namespace: "ns"},
		Labels:    map[string]string{"b": "2", "a\"": "1\n"},
		Host:      "h",
		Process: &Process{PID: 7, Start: at, Exe: "/bin/x", Args: "a \"b\"\n\x1b\u2028", Command: "cmd", Cwd: "/", UID: &uid, ExecID: "e",
			Ancestors: []Ancestor{{PID: 1, Exe: "/init", Args: "z", ExecID: "f"}, {}}, Signal: "SIGKILL", Status: 3},
		File: &File{Path: "/a", NewPath: "/b", Op: "rename"},
		Network: &Network{Protocol: "tcp", SrcIP: netip.MustParseAddr("2001:db8::1"), SrcPort: 1,
			DstIP: netip.MustParseAddr("203.0.113.7"), DstPort: 65535, Domain: "x.test"},
		Tool: &Tool{Name: "exec", CallID: "c", Command: "ls", Error: "no"},
		Rule: "r", Policy: "p", Hook: "h", Action: ActionKilled, Asked: "sigkill", Message: "naïve 🦞",
		DuplicateOf: "01JC", Unparsed: []string{"x", "y"}, Stage: "correlate", Cause: "01JB",
		Threat: &Threat{Rule: "CT-001", Title: "t", Confidence: 0.875, Attack: []string{"T1048"}, Atlas: []string{"AML.T0051"},
			Narrative: "n", Inferred: true, Suspects: []string{"a"}, Evidence: []Proof{{ID: "1", Type: "error", Source: SourceFalco, Received: at, Summary: "s"}}},
		KillSwitch: &KillSwitch{State: "tripped", Rule: "CT-001", Reason: "r", Scope: "global", Expires: at, Actor: "uid:0", Action: "file", Verified: true,
			Error: "e", TookNS: 12, Evidence: []string{"1"}},
		Coverage: &Coverage{What: "w", Reason: "r", Detail: "d", Count: 9, Since: at, Until: at},
		Baseline: &Baseline{Feature: "rate", Item: "exec", Rate: 9.5, Usual: 1.25, Known: 7},
		Origin:   Origin{Peer: "127.0.0.1", Token: "t", Agent: "a", Gateway: "g", Sensor: true, PolicyMode: "enforce", Position: "1 f"},
		Data:     jsontext.Value(`{"ns":1795437901817298702,"x":[1.0,"\u0041"]}`),
		Raw:      []byte(`{"type":"x"}`),
		Format:   FormatOpenClaw,
	}
}

// TestFull fails when a field is added to Event and not to full.
func TestFull(t *testing.T) {
	var check func(name string, v reflect.Value)
	check = func(name string, v reflect.Value) {
		if v.IsZero() {
			t.Errorf("%s has no value in full()", name)
			return
		}
		switch {
		case v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct:
			check(name, v.Elem())
		case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
			check(name, v.Index(0))
		case v.Kind() == reflect.Struct && v.Type().PkgPath() == reflect.TypeFor[Event]().PkgPath():
			for i := range v.NumField() {
				check(name+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
	check("Event", reflect.ValueOf(full()))
}

// TestAppendJSONAgrees holds the hand-written encoder against the struct tags.
func TestAppendJSONAgrees(t *testing.T) {
	base := &Event{Schema: SchemaVersion, Type: "error"}
	bare := full()
	bare.Threat, bare.KillSwitch, bare.Coverage, bare.Baseline = &Threat{}, &KillSwitch{}, &Coverage{}, &Baseline{}
	bare.Process, bare.File, bare.Network, bare.Tool = &Process{}, &File{}, &Network{}, &Tool{}
	for name, ev := range map[string]*Event{"full": full(), "zero": {}, "base": base, "empty parts": bare} {
		t.Run(name, func(t *testing.T) {
			// Raw is the one field whose form differs: reflection writes base64.
			ev.Raw = nil
			want, err := json.Marshal(ev)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(normal(t, want), normal(t, ev.AppendJSON(nil))); diff != "" {
				t.Errorf("-json.Marshal +AppendJSON:\n%s", diff)
			}
		})
	}
}

// normal writes JSON with sorted keys, one token a line.
func normal(t *testing.T, b []byte) string {
	t.Helper()
	v := jsontext.Value(slices.Clone(b))
	if err := v.Format(jsontext.ReorderRawObjects(true), jsontext.Multiline(true), jsontext.PreserveRawStrings(false)); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return string(v)
}

func TestRoundTrip(t *testing.T) {
	withProto := full()
	withProto.Raw, withProto.Format = []byte{0, 1, 0xff}, FormatTetragonProto
	for name, ev := range map[string]*Event{"full": full(), "binary record": withProto, "least": {Schema: 1, Type: "error"}} {
		t.Run(name, func(t *testing.T) { roundTrip(t, name, ev) })
	}
	eachRecorded(t, func(name string, format Format, line []byte) {
		ev, err := Parse(format, line)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		roundTrip(t, name, ev)
	})
}

func roundTrip(t *testing.T, name string, ev *Event) {
	t.Helper()
	b := ev.AppendJSON(nil)
	if bytes.ContainsAny(b, "\r\n") {
		t.Fatalf("%s: more than one line: %s", name, b)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, b)
	}
	if !reflect.DeepEqual(ev, got) { // cmp is slow for 1,500 events
		if diff := cmp.Diff(ev, got, cmp.Comparer(sameAddr), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s: -sent +decoded:\n%s", name, diff)
		}
	}
	if again := got.AppendJSON(nil); !bytes.Equal(b, again) {
		t.Fatalf("%s: encoded again it is\n%s\nnot\n%s", name, again, b)
	}
}

// TestAppendJSONHostile encodes what must not break the line it stands on.
func TestAppendJSONHostile(t *testing.T) {
	ev := &Event{
		Schema: SchemaVersion, Type: "error", Format: FormatOpenClaw,
		Message: "bad\xff\n\"}\x00", Unparsed: []string{"\xc3"},
		Network: &Network{DstIP: netip.MustParseAddr(`fe80::1%"},"x":{"`)},
		Threat:  &Threat{Confidence: math.NaN()},
		Data:    jsontext.Value("{\n\t\"a\": 1,\r\n\"b\": \"\\n\"\n}"),
		Raw:     []byte("{\r\n}"),
	}
	b := ev.AppendJSON(nil)
	got, err := Decode(b)
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if bytes.ContainsAny(b, "\r\n") {
		t.Errorf("more than one line: %s", b)
	}
	want := &Event{
		Schema: SchemaVersion, Type: "error", Format: FormatOpenClaw,
		Message: "bad\uFFFD\n\"}\x00", Unparsed: []string{"\uFFFD"}, Network: ev.Network,
		Threat: &Threat{Evidence: []Proof{}},
		Data:   jsontext.Value("{\t\"a\": 1,\"b\": \"\\n\"}"), Raw: []byte("{}"),
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(sameAddr)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDecode(t *testing.T) {
	ev, err := Decode([]byte(`{"schema":1,"type":"error","unknown":{"a":[]},"severity":"HIGH","time":"2026-03-10T12:00:00+02:00","received":"9999-12-31T23:59:59-01:00"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Event{Schema: 1, Type: "error", Severity: SeverityHigh, Time: time.Date(2026, 3, 10, 10, 0, 0, 0, time.UTC)}
	if diff := cmp.Diff(want, ev); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, tt := range []struct{ name, raw, want string }{
		{"empty", ``, "EOF"},
		{"no schema", `{"type":"error"}`, "schema 0, this g0 reads 1"},
		{"another schema", `{"schema":2,"type":"error"}`, "schema 2, this g0 reads 1"},
		{"no type", `{"schema":1}`, "no type"},
		{"a key twice", `{"schema":1,"type":"a","type":"b"}`, "duplicate"},
		{"invalid UTF-8", "{\"schema\":1,\"type\":\"\xff\"}", "UTF-8"},
		{"severity", `{"schema":1,"type":"a","severity":"dire"}`, `severity "dire" is none of`},
		{"port", `{"schema":1,"type":"a","network":{"dst_port":65536}}`, "dst_port"},
		{"raw is no base64", `{"schema":1,"type":"a","format":"tetragon_proto","raw":"%"}`, "raw"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode([]byte(tt.raw))
			if err == nil || !strings.HasPrefix(err.Error(), "decode event: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to contain %q", err, tt.want)
			}
		})
	}
}

func TestParseUnknownFormat(t *testing.T) {
	if _, err := Parse("yaml", []byte(`{}`)); err == nil || !strings.Contains(err.Error(), `"yaml"`) {
		t.Errorf("got %v", err)
	}
	if ev := mustParse(t, FormatG0, `{"schema":1,"type":"timer.fired"}`); ev.Type != TypeTimer {
		t.Errorf("got %s", ev.Type)
	}
}

func TestReplaceAgentIsEncodingAnew(t *testing.T) {
	agents := []Agent{{}, {ID: "a"}, {Claim: `qu"ote`}, {ID: "research", Gateway: "main", By: ByKernel, Claim: "\xff"}}
	for _, old := range agents {
		for _, now := range agents {
			ev := full()
			ev.Agent = old
			content := ev.AppendJSON(nil)
			ev.Agent = now
			want, got := string(ev.AppendJSON(nil)), string(ReplaceAgent([]byte("x"), content, ev.Schema, old, now))
			if diff := cmp.Diff("x"+want, got); diff != "" {
				t.Errorf("%+v to %+v (-encoded +replaced):\n%s", old, now, diff)
			}
		}
	}
}
