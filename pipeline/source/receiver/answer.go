package receiver

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// maxEcho bounds, in characters, what an answer repeats of the input.
	maxEcho = 200
	// maxListed bounds the rejected records that an answer lists.
	maxListed = 100
	// retryAfter is the Retry-After of a 503 in seconds: the backlog moves on
	// within one.
	retryAfter = "1"
)

// refusal is a request of which nothing was taken.
type refusal struct {
	status int
	why    reason
	text   string // clean
}

// rejection is a record that was not taken.
type rejection struct {
	line int
	text string // clean
}

// outcome is what became of a body's records.
type outcome struct {
	accepted  int
	rejected  int
	retryable int         // of the rejected, those that may be taken later
	listed    []rejection // the first maxListed of the rejected
}

// status is 200 where something was taken, so that a sender does not send it
// again; else it says whether sending again may help.
func (o *outcome) status() int {
	switch {
	case o.accepted > 0 || o.rejected == 0:
		return http.StatusOK
	case o.retryable > 0:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

// appendJSON writes the answer by hand: it is on the way of every event.
func (o *outcome) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"accepted":`...)
	dst = strconv.AppendInt(dst, int64(o.accepted), 10)
	dst = append(dst, `,"rejected":[`...)
	for i, r := range o.listed {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"line":`...)
		dst = strconv.AppendInt(dst, int64(r.line), 10)
		dst = append(dst, `,"error":`...)
		dst = appendString(dst, r.text)
		dst = append(dst, '}')
	}
	dst = append(dst, ']')
	if o.rejected > len(o.listed) {
		dst = append(dst, `,"rejected_total":`...)
		dst = strconv.AppendInt(dst, int64(o.rejected), 10)
	}
	return append(dst, '}', '\n')
}

// appendString writes a JSON string; invalid UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // its only error is about UTF-8 that it has replaced
	return dst
}

// Values of headers, shared by all answers: nobody may change them.
var (
	jsonType = []string{"application/json"}
	noSniff  = []string{"nosniff"}
	noStore  = []string{"no-store"}
	retry    = []string{retryAfter}
)

// writeJSON sends an answer. A client that went away is not our fault.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"], h["X-Content-Type-Options"], h["Cache-Control"] = jsonType, noSniff, noStore
	if status == http.StatusServiceUnavailable {
		h["Retry-After"] = retry
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// writeError sends {"error":text}.
func writeError(w http.ResponseWriter, status int, text string) {
	body := appendString([]byte(`{"error":`), event.Clean(text, 2*maxEcho))
	writeJSON(w, status, append(body, '}', '\n'))
}
