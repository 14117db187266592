package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// hook is a webhook target that takes alerts in the generic format.
type hook struct {
	t      *testing.T
	url    string
	answer func(w http.ResponseWriter, attempt int)

	mu       sync.Mutex
	attempts []attempt
}

// attempt is one request, and when it came and was answered.
type attempt struct {
	alert    alert
	at, done time.Time
	status   int
}

// alert is what the tests look at of a message.
type alert struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	Event    struct {
		Type string         `json:"type"`
		Data jsontext.Value `json:"data"`
	} `json:"event"`
}

// newHook starts a target. answer answers each attempt, counted from 0; 200 if it
// writes nothing.
func newHook(t *testing.T, answer func(w http.ResponseWriter, attempt int)) *hook {
	h := &hook{t: t, answer: answer}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	h.url = srv.URL
	return h
}

// ServeHTTP takes an alert.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := attempt{at: time.Now(), status: http.StatusOK}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return // g0 was killed in the middle of it
	}
	if err := json.Unmarshal(b, &a.alert); err != nil {
		h.t.Errorf("no alert: %v: %s", err, b)
	}
	h.mu.Lock()
	n := len(h.attempts)
	h.attempts = append(h.attempts, a)
	h.mu.Unlock()
	rec := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	h.answer(rec, n)
	h.mu.Lock()
	h.attempts[n].status, h.attempts[n].done = rec.status, time.Now()
	h.mu.Unlock()
}

// all gives the attempts in the order in which they came.
func (h *hook) all() []attempt {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]attempt(nil), h.attempts...)
}

// taken gives the alerts that were answered with 200, repeats included.
func (h *hook) taken() (alerts []alert) {
	for _, a := range h.all() {
		if a.status == http.StatusOK && !a.done.IsZero() {
			alerts = append(alerts, a.alert)
		}
	}
	return alerts
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
