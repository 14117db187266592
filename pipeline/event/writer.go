package event

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// writer appends JSON. Keys are ours and need no escaping; values do.
type writer struct {
	buf   []byte
	comma bool
}

func (w *writer) open(c byte)  { w.buf = append(w.buf, c); w.comma = false }
func (w *writer) close(c byte) { w.buf = append(w.buf, c); w.comma = true }

// element starts an array element or object member.
func (w *writer) element() {
	if w.comma {
		w.buf = append(w.buf, ',')
	}
	w.comma = true
}

func (w *writer) key(k string) {
	w.element()
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, k...)
	w.buf = append(w.buf, '"', ':')
}

func (w *writer) object(k string, body func()) {
	w.key(k)
	w.open('{')
	body()
	w.close('}')
}

// str writes a member that is left out when empty, text one that is not.
func (w *writer) str(k, v string) {
	if v != "" {
		w.text(k, v)
	}
}

func (w *writer) text(k, v string) {
	w.key(k)
	w.quote(v)
}

// quote writes a JSON string; invalid UTF-8 becomes U+FFFD.
func (w *writer) quote(v string) {
	if !unescaped(v) {
		w.buf, _ = jsontext.AppendQuote(w.buf, v) // its only error is about UTF-8 that it has replaced
		return
	}
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, v...)
	w.buf = append(w.buf, '"')
}

// asIs holds the bytes that JSON takes as they are.
var asIs = func() (t [256]bool) {
	for b := ' '; b <= '~'; b++ {
		t[b] = b != '"' && b != '\\'
	}
	return t
}()

// unescaped says whether a string is ASCII that JSON takes as it is.
func unescaped(s string) bool {
	for i := range len(s) {
		if !asIs[s[i]] {
			return false
		}
	}
	return true
}

func (w *writer) strs(k string, vs []string) {
	if len(vs) == 0 {
		return
	}
	w.key(k)
	w.open('[')
	for _, v := range vs {
		w.element()
		w.quote(v)
	}
	w.close(']')
}

// strMap writes an object, its keys sorted, that is left out when empty.
func (w *writer) strMap(k string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	w.key(k)
	w.open('{')
	for _, name := range slices.Sorted(maps.Keys(m)) {
		w.element()
		w.quote(name)
		w.buf = append(w.buf, ':')
		w.quote(m[name])
	}
	w.close('}')
}

func (w *writer) uint(k string, v uint64) {
	if v == 0 {
		return
	}
	w.key(k)
	w.buf = strconv.AppendUint(w.buf, v, 10)
}

func (w *writer) int(k string, v int64) {
	if v == 0 {
		return
	}
	w.key(k)
	w.buf = strconv.AppendInt(w.buf, v, 10)
}

// float writes a number always; JSON has none for infinity and NaN: 0.
func (w *writer) float(k string, v float64) {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		v = 0
	}
	w.key(k)
	w.buf = jsontext.AppendFloat(w.buf, v, 64)
}

func (w *writer) bool(k string, v bool) {
	if !v {
		return
	}
	w.key(k)
	w.buf = append(w.buf, "true"...)
}

// time writes a member that is left out when zero, instant one that is not.
func (w *writer) time(k string, t time.Time) {
	if !t.IsZero() {
		w.instant(k, t)
	}
}

func (w *writer) instant(k string, t time.Time) {
	w.key(k)
	w.buf = append(w.buf, '"')
	w.buf = t.UTC().AppendFormat(w.buf, time.RFC3339Nano)
	w.buf = append(w.buf, '"')
}

func (w *writer) addr(k string, a netip.Addr) {
	if a.Zone() != "" { // parsers cut it off; it may hold any character
		w.str(k, a.String())
		return
	}
	if !a.IsValid() {
		return
	}
	w.key(k)
	w.buf = append(w.buf, '"')
	w.buf = a.AppendTo(w.buf)
	w.buf = append(w.buf, '"')
}
