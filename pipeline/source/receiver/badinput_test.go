package receiver

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// zip gzips s.
func zip(t testing.TB, s string) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := io.WriteString(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

const megabyte = 1 << 20

func TestBadInput(t *testing.T) {
	gzipped := header("Content-Encoding", "gzip")
	tooLarge := `{"error":"the body is larger than 4194304 bytes, as sent or after gunzip: send it in parts"}`
	bad := func(n uint64) map[string]uint64 { return map[string]uint64{"bad event": n} }
	tests := []struct {
		name, body string
		opt        func(*http.Request)
		status     int
		answer     string // a part of it
		accepted   int
		counts     map[string]uint64
	}{
		{name: "empty", body: "", status: 400, answer: `{"error":"the body is empty"}`, counts: map[string]uint64{"empty body": 1}},
		{name: "white space", body: " \r\n\t", status: 400, answer: `{"error":"the body is empty"}`, counts: map[string]uint64{"empty body": 1}},
		{name: "byte order mark alone", body: "\ufeff", status: 400, answer: `{"error":"the body is empty"}`, counts: map[string]uint64{"empty body": 1}},
		{name: "no JSON", body: "hello", status: 400, answer: `{"line":1,"error":"not a JSON object"}`, counts: bad(1)},
		{name: "string", body: `"hello"`, status: 400, answer: `{"line":1,"error":"not a JSON object"}`, counts: bad(1)},
		{name: "form", body: "type=tool.blocked&x=1", status: 400, answer: `{"line":1,"error":"not a JSON object"}`, counts: bad(1)},
		{name: "truncated object", body: `{"type":"tool.blocked","data":{"a":1`, status: 400, answer: `"line":1`, counts: bad(1)},
		{name: "truncated object on many lines", body: specExample[:len(specExample)-4], status: 400, answer: `"line":1`, counts: bad(1)},
		{name: "truncated string", body: `{"type":"tool.blo`, status: 400, answer: `"line":1`, counts: bad(1)},
		{name: "something after the object", body: blocked + `x`, status: 400, answer: `"line":1`, counts: bad(1)},
		{name: "two objects on a line", body: blocked + blocked, status: 400, answer: `"line":1`, counts: bad(1)},
		{name: "duplicated key", body: `{"type":"tool.blocked","type":"request"}`, status: 400, answer: `"line":1`, counts: bad(1)},
		{name: "duplicated key in data", body: `{"type":"tool.blocked","data":{"a":1,"a":2}}`, status: 400, answer: `"line":1`, counts: bad(1)},
		{name: "invalid UTF-8", body: "{\"type\":\"tool.blocked\",\"data\":{\"a\":\"\xff\xfe\"}}", status: 400, answer: `"line":1`, counts: bad(1)},
		{name: "nesting of 1 MB", body: `{"type":"tool.blocked","data":{"a":` + strings.Repeat("[", megabyte), status: 400, answer: `"line":1`, counts: bad(1)},
		{name: "closed nesting of 1 MB", body: `{"type":"tool.blocked","data":{"a":` + strings.Repeat("[", megabyte/2) + strings.Repeat("]", megabyte/2) + `}}`, status: 400, answer: `"line":1`, counts: bad(1)},
		{name: "array of 1 MB of brackets", body: strings.Repeat("[", megabyte), status: 400, answer: `{"line":1,"error":"not a JSON object"},{"line":2,"error":"the array is not closed"}`, counts: bad(2)},
		{name: "timestamp out of range", body: `{"type":"tool.blocked","timestamp":1e400}`, status: 200, answer: one, accepted: 1, counts: map[string]uint64{}},
		{name: "number out of range in data", body: `{"type":"tool.blocked","data":{"n":123456789012345678901234567890}}`, status: 200, answer: one, accepted: 1, counts: map[string]uint64{}},
		{name: "type of the wrong kind", body: `{"type":7}`, status: 400, answer: `type`, counts: bad(1)},
		{name: "no type", body: `{"agentId":"research"}`, status: 400, answer: `type`, counts: bad(1)},
		{name: "agent id of 10 kB", body: `{"type":"tool.blocked","agentId":"` + strings.Repeat("a", 10_000) + `"}`, status: 400, answer: `agentId`, counts: bad(1)},
		{name: "agent id that climbs", body: `{"type":"tool.blocked","agentId":"../../etc"}`, status: 400, answer: `agentId`, counts: bad(1)},
		{name: "type of g0 itself", body: `{"type":"threat.confirmed"}`, status: 400, answer: `is for g0 itself`, counts: map[string]uint64{"reserved type": 1}},
		{name: "bad line in the middle", body: blocked + "\n{\"type\":\n" + blocked + "\n", status: 200, answer: `{"accepted":2,"rejected":[{"line":2,`, accepted: 2, counts: bad(1)},
		{name: "bad first line", body: "{\"type\":\"tool.blo\n" + blocked + "\n" + blocked + "\n", status: 200, answer: `{"accepted":2,"rejected":[{"line":1,`, accepted: 2, counts: bad(1)},
		{name: "bad first line that opens a brace", body: "{\"type\":\"error\",\"data\":{\n" + blocked + "\n" + blocked + "\n", status: 200, answer: `{"accepted":2,"rejected":[{"line":1,`, accepted: 2, counts: bad(1)},
		{name: "text before the lines", body: "starting\n" + blocked + "\n", status: 200, answer: `{"accepted":1,"rejected":[{"line":1,`, accepted: 1, counts: bad(1)},
		{name: "line numbers count blank lines", body: "\n\n" + blocked + "\n\nx\n", status: 200, answer: `{"accepted":1,"rejected":[{"line":5,`, accepted: 1, counts: bad(1)},
		{name: "bad element in the middle", body: "[" + blocked + `,{"type":},` + blocked + "]", status: 200, answer: `{"accepted":2,"rejected":[{"line":2,`, accepted: 2, counts: bad(1)},
		{name: "elements of other kinds", body: "[1," + blocked + `,null,[]]`, status: 200, answer: `{"accepted":1,"rejected":[{"line":1,"error":"not a JSON object"},{"line":3,`, accepted: 1, counts: bad(3)},
		{name: "one brace too many in an array", body: `[{"type":"error"}},` + blocked + "]", status: 200, answer: `{"accepted":1,"rejected":[{"line":1,`, accepted: 1, counts: bad(1)},
		{name: "truncated array", body: "[" + blocked + `,{"type":`, status: 200, answer: `{"accepted":1,"rejected":[{"line":2,`, accepted: 1, counts: bad(2)},
		{name: "open array", body: "[" + blocked, status: 200, answer: `{"line":2,"error":"the array is not closed"}`, accepted: 1, counts: bad(1)},
		{name: "array that was only begun", body: "[", status: 400, answer: `{"line":1,"error":"the array is not closed"}`, counts: bad(1)},
		{name: "comma at the end of an array", body: "[" + blocked + ",]", status: 200, answer: `{"line":2,"error":"an element is missing between commas"}`, accepted: 1, counts: bad(1)},
		{name: "something after the array", body: "[" + blocked + "]" + blocked, status: 200, answer: `{"line":2,"error":"there is something after the array"}`, accepted: 1, counts: bad(1)},
		{name: "something after the empty array", body: "[] x", status: 400, answer: `{"line":1,"error":"there is something after the array"}`, counts: bad(1)},
		{name: "many bad lines", body: strings.Repeat("x\n{}\n", 1000), status: 400, answer: `],"rejected_total":2000}`, counts: bad(2000)},
		{name: "line of 10 MB", body: blocked + "\n" + `{"type":"` + strings.Repeat("a", 10*megabyte) + `"}`, status: 413, answer: tooLarge, counts: map[string]uint64{"too large": 1}},
		{name: "line of 10 MB of unknown length", body: strings.Repeat("a", 10*megabyte), opt: func(req *http.Request) { req.ContentLength = -1 }, status: 413, answer: tooLarge, counts: map[string]uint64{"too large": 1}},
		{name: "gzip bomb", body: strings.Repeat(zip(t, strings.Repeat("\x00", megabyte)), 10), opt: gzipped, status: 413, answer: tooLarge, counts: map[string]uint64{"too large": 1}},
		{name: "truncated gzip", body: zip(t, blocked)[:25], opt: gzipped, status: 400, answer: `{"error":"the body ends too early"}`, counts: map[string]uint64{"incomplete body": 1}},
		{name: "gzip without a body", body: "", opt: gzipped, status: 400, answer: `{"error":"the body ends too early"}`, counts: map[string]uint64{"incomplete body": 1}},
		{name: "no gzip at all", body: blocked, opt: gzipped, status: 400, answer: `{"error":"the body is not valid gzip"}`, counts: map[string]uint64{"bad encoding": 1}},
		{name: "damaged gzip", body: zip(t, blocked)[:10] + "\x07damaged", opt: gzipped, status: 400, answer: `{"error":"the body is not valid gzip"}`, counts: map[string]uint64{"bad encoding": 1}},
		{name: "wrong checksum", body: zip(t, blocked)[:len(zip(t, blocked))-8] + "12345678", opt: gzipped, status: 400, answer: `{"error":"the body is not valid gzip"}`, counts: map[string]uint64{"bad encoding": 1}},
		{name: "other coding", body: blocked, opt: header("Content-Encoding", "br"), status: 415, answer: `content encoding br is not supported`, counts: map[string]uint64{"bad encoding": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, Config{})
			if tt.opt == nil {
				tt.opt = func(*http.Request) {}
			}
			w := g.post("/events", tt.body, tt.opt)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.answer) {
				t.Errorf("got %d %.300s, want %d with %s", w.Code, w.Body, tt.status, tt.answer)
			}
			if strings.ContainsAny(w.Body.String(), "\x1b\x00") || !utf8.Valid(w.Body.Bytes()) || w.Body.Len() > 32<<10 {
				t.Errorf("answer of %d bytes repeats what was sent: %.300q", w.Body.Len(), w.Body)
			}
			if len(g.sink.events) != tt.accepted {
				t.Errorf("accepted %d, want %d", len(g.sink.events), tt.accepted)
			}
			if diff := cmp.Diff(tt.counts, g.Rejected()); diff != "" {
				t.Errorf("rejected (-want +got):\n%s", diff)
			}
			if len(g.losses()) != len(tt.counts) {
				t.Errorf("the board was told of %q", g.losses())
			}
		})
	}
}

func TestGzip(t *testing.T) {
	g := newRig(t, Config{})
	answered(t, g.post("/events", zip(t, blocked+"\n"+blocked), header("Content-Encoding", "GZIP")), 200, `{"accepted":2,"rejected":[]}`)
	answered(t, g.post("/events", zip(t, blocked+"\n")+zip(t, blocked), header("Content-Encoding", "x-gzip")), 200, `{"accepted":2,"rejected":[]}`)
	answered(t, g.post("/events", blocked, header("Content-Encoding", "identity")), 200, one)
}

func TestLineAsLargeAsTheBody(t *testing.T) {
	const limit = 256 << 10
	g := newRig(t, Config{MaxBody: limit})
	head, tail := `{"type":"tool.blocked","data":{"a":"`, `"}}`
	fits := head + strings.Repeat("a", limit-len(head)-len(tail)) + tail
	answered(t, g.post("/events", fits), 200, one)
	answered(t, g.post("/events", zip(t, fits), header("Content-Encoding", "gzip")), 200, one)
	if w := g.post("/events", fits+" "); w.Code != 413 {
		t.Errorf("one byte more: status %d", w.Code)
	}
	if w := g.post("/events", zip(t, fits+" "), header("Content-Encoding", "gzip")); w.Code != 413 {
		t.Errorf("one byte more, gzipped: status %d", w.Code)
	}
}

func TestBombCostsNoMoreThanABody(t *testing.T) {
	g := newRig(t, Config{})
	bomb := strings.Repeat(zip(t, strings.Repeat("\x00", megabyte)), 1000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if w := g.post("/events", bomb, header("Content-Encoding", "gzip")); w.Code != 413 {
		t.Errorf("status %d", w.Code)
	}
	runtime.ReadMemStats(&after)
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 4*uint64(DefaultConfig.MaxBody) {
		t.Errorf("allocated %d bytes", spent)
	}
}

func TestLargeBodiesShareRoom(t *testing.T) {
	g := newRig(t, Config{})
	g.bodies.room.Store(100 << 10)
	large := `{"type":"tool.blocked","data":{"a":"` + strings.Repeat("a", 300<<10) + `"}}`
	if w := g.post("/events", large); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("large body: status %d: %s", w.Code, w.Body)
	}
	answered(t, g.post("/events", blocked), 200, one)
	if diff := cmp.Diff(map[string]uint64{"busy": 1}, g.Rejected()); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
	if got := g.bodies.room.Load(); got != 100<<10 {
		t.Errorf("%d bytes of room are left, want all", got)
	}
}
