package receiver

import (
	"errors"
	"net"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Handler answers the endpoints. It makes the same checks whoever serves it.
func (r *Receiver) Handler() http.Handler { return http.HandlerFunc(r.serve) }

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) {
	if err := r.hosts.check(req); err != nil {
		r.turnAway(w, req, &refusal{http.StatusForbidden, reasonForbidden, err.Error()})
		return
	}
	switch req.URL.Path {
	case "/events":
		r.post(w, req, parseEvents)
	case "/falco":
		r.post(w, req, parseFalco)
	case "/health":
		r.get(w, req, r.health)
	case "/stats":
		r.get(w, req, r.stats)
	case "/metrics":
		r.metrics(w, req)
	default:
		r.turnAway(w, req, &refusal{http.StatusNotFound, reasonAddress,
			"no such address: there are /events, /falco, /health, /stats and /metrics"})
	}
}

func (r *Receiver) post(w http.ResponseWriter, req *http.Request, parse parser) {
	if req.Method != http.MethodPost {
		r.wrongMethod(w, req, http.MethodPost)
		return
	}
	origin, err := r.keys.sender(req)
	switch {
	case errors.Is(err, errOperator):
		r.turnAway(w, req, &refusal{http.StatusForbidden, reasonForbidden, err.Error()})
		return
	case err != nil:
		w.Header()["Www-Authenticate"] = []string{`Bearer realm="g0"`, `Basic realm="g0"`}
		r.turnAway(w, req, &refusal{http.StatusUnauthorized, reasonUnauthorized, err.Error()})
		return
	}
	origin.Peer = peer(req)
	got, no := r.bodies.read(w, req)
	if no != nil {
		r.turnAway(w, req, no)
		return
	}
	defer r.bodies.release(got)
	d := delivery{r: r, req: req, origin: origin, parse: parse}
	out, no := d.ingest(trimMark(got.bytes))
	if no != nil {
		r.turnAway(w, req, no)
		return
	}
	writeJSON(w, out.status(), out.appendJSON(make([]byte, 0, 64)))
}

// turnAway refuses a whole request. What was to be posted counts as one event.
func (r *Receiver) turnAway(w http.ResponseWriter, req *http.Request, no *refusal) {
	if req.Method == http.MethodPost {
		r.refused.add(no.why, requestLine(req)+": "+no.text, 1)
	}
	writeError(w, no.status, no.text)
}

func (r *Receiver) get(w http.ResponseWriter, req *http.Request, view func(*http.Request) (any, int)) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		r.wrongMethod(w, req, http.MethodGet+", "+http.MethodHead)
		return
	}
	v, status := view(req)
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		r.log.Error("view not encoded", "path", req.URL.Path, "err", err)
		writeError(w, http.StatusInternalServerError, "the answer cannot be encoded")
		return
	}
	writeJSON(w, status, append(body, '\n'))
}

func (r *Receiver) health(*http.Request) (any, int) {
	view, ok := r.views.Health()
	if !ok {
		return view, http.StatusServiceUnavailable
	}
	return view, http.StatusOK
}

func (r *Receiver) stats(req *http.Request) (any, int) {
	return r.views.Stats(r.keys.operator(req.Header)), http.StatusOK
}

// metrics answers in Prometheus's text form. Nothing in it names an agent, so it
// is open to whoever may ask for the health.
func (r *Receiver) metrics(w http.ResponseWriter, req *http.Request) {
	switch {
	case r.scrape == nil:
		r.turnAway(w, req, &refusal{http.StatusNotFound, reasonAddress, "metrics are switched off"})
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		r.wrongMethod(w, req, http.MethodGet+", "+http.MethodHead)
	default:
		h := w.Header()
		h["X-Content-Type-Options"], h["Cache-Control"] = noSniff, noStore
		r.scrape.ServeHTTP(w, req)
	}
}

func (r *Receiver) wrongMethod(w http.ResponseWriter, req *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	r.turnAway(w, req, &refusal{http.StatusMethodNotAllowed, reasonAddress, "this address takes " + allow})
}

// requestLine names a request in logs and losses; it is clean.
func requestLine(req *http.Request) string {
	from := peer(req)
	if from == "" {
		from = req.RemoteAddr // "uid N" of a unix socket
	}
	return event.Clean(req.Method+" "+req.URL.Path, maxEcho) + " from " + from
}

// peer is the sender's IP address; "" on a unix socket.
func peer(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
