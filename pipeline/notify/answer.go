package notify

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// errorWord is what chat services answer: "invalid_blocks", "no_service". Any
// longer answer may quote the request back, and with it a secret.
var errorWord = regexp.MustCompile(`^[a-z_ ]{1,64}$`)

// errorSentence is what services say in the JSON of their answers.
var errorSentence = regexp.MustCompile(`^[A-Za-z0-9 ,.'_:()-]{1,160}$`)

// wordsOf gives what a service says of an answer, "" if that is nothing one would
// show. Secrets may be in it.
func wordsOf(body []byte) string {
	if word := string(bytes.TrimSpace(body)); errorWord.MatchString(word) {
		return word
	}
	var said struct {
		Message string   `json:"message"`
		Error   string   `json:"error"`
		Errors  []string `json:"errors"`
	}
	// Some services have an object under "errors": what came before it is there.
	_ = json.Unmarshal(body, &said)
	var out []string
	for _, s := range append([]string{said.Message, said.Error}, said.Errors[:min(len(said.Errors), 3)]...) {
		if errorSentence.MatchString(s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, "; ")
}

func answerText(status int, body []byte) string {
	text := strings.TrimSpace("answered " + strconv.Itoa(status) + " " + http.StatusText(status))
	if status >= 300 && status < 400 {
		text += ", and redirects are not followed"
	}
	if words := wordsOf(body); words != "" {
		text += ": " + words
	}
	return text
}

// permanent says whether a status is about the request or the configuration,
// not about the moment.
func permanent(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status < 500
}

// retryAfter reads the header of RFC 9110, section 10.2.3: seconds or a date;
// also seconds with a fraction, which some services send. What is none of them,
// past or absent gives 0. A date counts from the answer's own Date, since the
// clocks may differ.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	at, err := http.ParseTime(v)
	if err != nil {
		return parseSeconds(v)
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// parseSeconds reads a decimal number of seconds; what is none gives 0.
func parseSeconds(s string) time.Duration {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return 0 // Inf, 0x1p9 and 1e9 are numbers too
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(n, 1) {
		return 0
	}
	return inSeconds(n)
}

// inSeconds is n seconds, at most [maxRetryAfter]; what is below 0 or no number
// gives 0.
func inSeconds(n float64) time.Duration {
	if !(n > 0) {
		return 0
	}
	return time.Duration(math.Ceil(min(n, maxRetryAfter.Seconds())*1000)) * time.Millisecond
}
