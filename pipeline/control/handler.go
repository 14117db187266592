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
	s.baselineRoutes(mux)
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
	key := req.key(who)
	ks, ok := s.backend.KillSwitch()
	if !ok {
		fail(w, http.StatusConflict, noSwitch)
		return
	}
	if typ == event.TypeKillSwitchResumeAsk {
		if why := nothingToResume(ks, key); why != "" {
			fail(w, http.StatusNotFound, why)
			return
		}
	}
	uid, _ := s.operator(r.Context()) // guard has asked whether it may
	asked := event.KillSwitch{Actor: fmt.Sprintf("uid:%d", uid), Reason: reason, Scope: req.scope()}
	if req.TTL > 0 {
		asked.Expires = time.Now().Add(req.TTL).UTC().Round(0)
	}
	if err := s.backend.Command(r.Context(), typ, who, asked); err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	a := s.await(r.Context(), key, who, req.Wait)
	if !obeyed(a.Agent.State) {
		fail(w, http.StatusInternalServerError, fmt.Sprintf("the command is journalled, but %s is %s: a processor before g0_killswitch may drop commands, or another one came in between", key, a.Agent.State))
		return
	}
	s.log.Info("operator command", "event", typ, "agent", key, "actor", asked.Actor, "reason", reason, "expires", asked.Expires, "outcome", a.Outcome)
	answer(w, a)
}

// nothingToResume says why a resume of key would do nothing; "" if it may do
// something. A slip in the name must not look like a success.
func nothingToResume(ks KillSwitch, key string) string {
	if _, ok := ks.Agent(key); ok {
		return ""
	}
	why := key + " is not stopped: is the name right?"
	if key == event.EveryAgent {
		why = "nobody stopped all agents at once"
	}
	if all, ok := ks.Agent(event.EveryAgent); ok && all.State == event.SwitchTripped {
		why += " All agents are stopped at once, resume them with --all."
	}
	return why + " g0 killswitch list shows who is stopped"
}

// await gives how key, which is who, stands once the actions have results, or at the latest
// when wait is over, the client has gone or the server stops.
func (s *Server) await(ctx context.Context, key string, who event.Agent, wait time.Duration) Answer {
	over := time.NewTimer(wait)
	defer over.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		a := s.standing(key, who)
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
		return s.standing(key, who)
	}
}

func (s *Server) standing(key string, who event.Agent) Answer {
	ks, _ := s.backend.KillSwitch()
	st, ok := ks.Agent(key)
	if !ok {
		st = killswitch.AgentStatus{Key: key, Agent: who, State: event.SwitchArmed}
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
	var err2 error
	req.Wait, err = duration(r, "wait", 0, MaxWait)
	req.TTL, err2 = duration(r, "ttl", MinTTL, killswitch.MaxTTL)
	return req, http.StatusBadRequest, errors.Join(err, err2)
}

// duration reads a time from the query; 0 where it is not given.
func duration(r *http.Request, name string, least, most time.Duration) (time.Duration, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("%s: %q is not a time between %s and %s", name, clip(text), least, most)
	}
	return d, nil
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
