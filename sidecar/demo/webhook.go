package demo

import (
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// webhook takes messages as Slack would.
type webhook struct {
	url    string
	server *http.Server
	ended  chan struct{}

	mu     sync.Mutex
	bodies [][]byte
}

func newWebhook() (*webhook, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &webhook{url: "http://" + l.Addr().String() + "/services/T000/B000/demo", ended: make(chan struct{})}
	w.server = &http.Server{Handler: w, ReadHeaderTimeout: 5 * time.Second}
	go func() { defer close(w.ended); _ = w.server.Serve(l) }() // http.ErrServerClosed at the end
	return w, nil
}

// ServeHTTP keeps a message.
func (w *webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bodies = append(w.bodies, b)
}

func (w *webhook) messages() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([][]byte(nil), w.bodies...)
}

func (w *webhook) close() {
	_ = w.server.Close()
	<-w.ended
}
