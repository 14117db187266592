package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/killswitch"
)

const (
	// maxBody bounds the body of a request in bytes.
	maxBody = 64 << 10
	// maxText bounds an error's text in characters.
	maxText = 1000
	// pollEvery is how often the kill switch is asked for the results of actions.
	pollEvery = 50 * time.Millisecond
)

const noSwitch = "the pipeline has no g0_killswitch"

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.backend.Health()) })
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.backend.Stats()) })
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /killswitch", s.status)
	mux.HandleFunc("POST /killswitch/stop", s.stop)
	mux.HandleFunc("POST /killswitch/resume", s.resume)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "there is no "+r.Method+" "+r.URL.Path)
	})
	return s.guard(mux)
}

// guard lets operators in, a bounded number at once.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if uid, ok := s.operator(r.Context()); !ok {
			s.refusals.Do(func() { s.log.Warn("control socket refused a peer", "uid", uid) })
			fail(w, http.StatusForbidden, fmt.Sprintf("only root and uid %d, which runs g0, may use the control socket", s.own))
			return
		}
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
			next.ServeHTTP(w, r)
		default:
			fail(w, http.StatusServiceUnavailable, "too many requests at once")
		}
	})
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	ks, ok := s.backend.KillSwitch()
	if !ok {
		fail(w, http.StatusConflict, noSwitch)
		return
	}
	answer(w, ks)
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request) {
	s.command(w, r, event.TypeKillSwitchStopAsked, func(state string) bool { return state == event.SwitchTripped })
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request) {
	s.command(w, r, event.TypeKillSwitchResumeAsk, func(state string) bool { return state != event.SwitchTripped })
}

// command has the stages decide on what an operator asks for. obeyed says
// whether the agent is then in the state that was asked for.
func (s *Server) command(w http.ResponseWriter, r *http.Request, typ string, obeyed func(state string) bool) {
	req, status, err := parse(w, r)
	if err != nil {
		fail(w, status, err.Error())
		return
	}
	who, err := req.who()
	reason, err2 := req.why()
	if err := errors.Join(err, err2); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if _, ok := s.backend.KillSwitch(); !ok {
		fail(w, http.StatusConflict, noSwitch)
		return
	}
	uid, _ := s.operator(r.Context()) // guard has asked whether it may
	actor := fmt.Sprintf("uid:%d", uid)
	if err := s.backend.Command(r.Context(), typ, who, actor, reason); err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	a := s.await(r.Context(), who, req.Wait)
	if !obeyed(a.Agent.State) {
		fail(w, http.StatusInternalServerError, fmt.Sprintf("the command is journalled, but %s is %s: a processor before g0_killswitch may drop commands, or another one came in between", who.Key(), a.Agent.State))
		return
	}
	s.log.Info("operator command", "event", typ, "agent", who.Key(), "actor", actor, "reason", reason, "outcome", a.Outcome)
	answer(w, a)
}

// await gives how who stands once the actions have results, or at the latest
// when wait is over, the client has gone or the server stops.
func (s *Server) await(ctx context.Context, who event.Agent, wait time.Duration) Answer {
	over := time.NewTimer(wait)
	defer over.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		a := s.standing(who)
		if a.Outcome != OutcomePending || wait == 0 {
			return a
		}
		select {
		case <-poll.C:
			continue
		case <-over.C:
		case <-s.stopping:
		case <-ctx.Done():
		}
		return s.standing(who)
	}
}

func (s *Server) standing(who event.Agent) Answer {
	ks, _ := s.backend.KillSwitch()
	st, ok := ks.Agent(who.Key())
	if !ok {
		st = killswitch.AgentStatus{Key: who.Key(), Agent: who, State: event.SwitchArmed}
	}
	return Answer{Agent: st, Outcome: ks.Outcome(st)}
}

// parse reads a command. The status is that of the error.
func parse(w http.ResponseWriter, r *http.Request) (req Request, status int, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return req, http.StatusRequestEntityTooLarge, fmt.Errorf("the body is larger than %d bytes", maxBody)
	}
	if err != nil {
		return req, http.StatusBadRequest, fmt.Errorf("read body: %w", err)
	}
	if err := json.Unmarshal(body, &req, json.RejectUnknownMembers(true)); err != nil {
		return req, http.StatusBadRequest, fmt.Errorf("body: %w", err)
	}
	text := r.URL.Query().Get("wait")
	if text == "" {
		return req, 0, nil
	}
	req.Wait, err = time.ParseDuration(text)
	if err != nil || req.Wait < 0 || req.Wait > MaxWait {
		return req, http.StatusBadRequest, fmt.Errorf("wait: %q is not a time between 0s and %s", clip(text), MaxWait)
	}
	return req, 0, nil
}

// answer sends v. A client that went away is not our fault.
func answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true), json.Deterministic(true))
	if err != nil {
		fail(w, http.StatusInternalServerError, fmt.Sprintf("write answer: %v", err))
		return
	}
	write(w, http.StatusOK, body)
}

// fail sends {"error":text}.
func fail(w http.ResponseWriter, status int, text string) {
	body, err := json.Marshal(failure{event.Clean(text, maxText)})
	if err != nil { // a clean string can be written
		panic(err)
	}
	write(w, status, body)
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
