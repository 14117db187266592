package receiver

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

func TestShapeOf(t *testing.T) {
	tests := []struct {
		name, body string
		want       shape
	}{
		{"nothing", "", shapeEmpty},
		{"object", `{"a":1}`, shapeOne},
		{"object on lines", "{\n \"a\": {\n  \"b\": \"}\"\n }\n}", shapeOne},
		{"object on lines, truncated", "{\n \"a\": {\n  \"b\": 1", shapeOne},
		{"array", "\n[", shapeArray},
		{"two lines", "{}\n{}", shapeLines},
		{"line and rubbish", "{}\nx", shapeLines},
		{"rubbish and line", "x\n{}", shapeLines},
		{"rubbish and rubbish", "x\ny", shapeOne},
		{"brace in a string", "{\"a\":\"{\"}\n{}", shapeLines},
		{"quote in a string", "{\"a\":\"\\\"{\"}\n{}", shapeLines},
		{"truncated string and line", "{\"a\":\"\n{}", shapeLines},
		{"truncated escape and line", "{\"a\":\"\\\n{}", shapeLines},
		{"open brace and line", "{\"a\":{\n{}", shapeLines},
		{"objects on lines one after another", "{\n\"a\":1\n}\n{\n\"a\":2\n}", shapeLines},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := shapeOf([]byte(tt.body)); got != tt.want {
				t.Errorf("shape %d, want %d", got, tt.want)
			}
		})
	}
}

// FuzzRecords: whatever the body, records are parts of it in rising order, all
// that is not white space or structure is in one of them, and a well-formed
// body gives exactly its values.
func FuzzRecords(f *testing.F) {
	for _, path := range []string{"openclaw-plugin/story.jsonl", "falco/alerts.jsonl", "tetragon/binary-properties.jsonl"} {
		body, lines := recorded(f, path)
		f.Add(body[:min(len(body), 4<<10)])
		f.Add(lines[0])
		f.Add([]byte("[" + string(bytes.Join(lines[:2], []byte(","))) + "]"))
	}
	for _, seed := range []string{specExample, "[", "[]", "[,]", "[{}}]", "null", "{\"a\":\"\\", "x\n{}\n", "\ufeff{}", "[[],{}]x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		body = trimMark(body)
		form := shapeOf(body)
		var got []string
		line, from := 0, 0
		for rec := range records(body, form) {
			if rec.line <= line && line > 0 {
				t.Fatalf("line %d after %d", rec.line, line)
			}
			line = rec.line
			if rec.fault == "" && (len(rec.raw) == 0 || rec.raw[0] != '{') {
				t.Fatalf("%q is said to be an object", rec.raw)
			}
			at := bytes.Index(body[from:], rec.raw)
			if at < 0 {
				t.Fatalf("%q is not in the rest of the body", rec.raw)
			}
			if form == shapeLines && len(trimSpace(body[from:from+at])) > 0 {
				t.Fatalf("%q is in no record", body[from:from+at])
			}
			from += at + len(rec.raw)
			got = append(got, string(rec.raw))
		}
		if rest := trimSpace(body[from:]); form != shapeArray && len(rest) > 0 {
			t.Fatalf("%q is in no record", rest)
		}
		if want, ok := values(body); ok && !slices.Equal(want, got) {
			t.Fatalf("records (-want +got):\n%s", cmp.Diff(want, got))
		}
	})
}

// values gives the elements of a valid array of objects, or the one object that
// a body is.
func values(body []byte) ([]string, bool) {
	var all []jsontext.Value
	trimmed := trimSpace(body)
	if !bytes.HasPrefix(trimmed, []byte("[")) || json.Unmarshal(trimmed, &all) != nil {
		if !jsontext.Value(trimmed).IsValid() || !bytes.HasPrefix(trimmed, []byte("{")) {
			return nil, false
		}
		all = []jsontext.Value{trimmed}
	}
	var out []string
	for _, v := range all {
		if v.Kind() != '{' {
			return nil, false
		}
		out = append(out, string(v))
	}
	return out, true
}

// FuzzPost: no body makes the receiver fail, and each record is accounted for.
func FuzzPost(f *testing.F) {
	for _, seed := range []string{blocked, specExample, blocked + "\nx\n" + blocked, "[" + blocked + ",{}]", "{\"type\":\"threat.x\"}"} {
		f.Add(seed, false)
		f.Add(zip(f, seed), true)
	}
	f.Fuzz(func(t *testing.T, body string, gzipped bool) {
		g := newRig(t, Config{MaxBody: 64 << 10})
		opt := header("Content-Type", "application/json")
		if gzipped {
			opt = header("Content-Encoding", "gzip")
		}
		for _, path := range []string{"/events", "/falco"} {
			before := len(g.sink.events)
			w := g.post(path, body, opt)
			var answer struct {
				Accepted int    `json:"accepted"`
				Error    string `json:"error"`
				Rejected []struct {
					Line  int    `json:"line"`
					Error string `json:"error"`
				} `json:"rejected"`
				Total int `json:"rejected_total"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer, json.RejectUnknownMembers(true)); err != nil {
				t.Fatalf("answer %s: %v", w.Body, err)
			}
			if answer.Accepted != len(g.sink.events)-before {
				t.Fatalf("answered %d, kept %d", answer.Accepted, len(g.sink.events)-before)
			}
			clean := answer.Error == "" && len(answer.Rejected) == 0
			if clean != (w.Code == 200 && answer.Total == 0 && len(answer.Rejected) == 0) {
				t.Fatalf("status %d with %s", w.Code, w.Body)
			}
			if strings.ContainsFunc(w.Body.String(), func(r rune) bool { return r < ' ' && r != '\n' }) {
				t.Fatalf("control characters in %q", w.Body)
			}
		}
	})
}
