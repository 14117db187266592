package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/baseline"
)

// Baselines is what the socket shows of the baselines; [baseline.Stage] is it. All
// methods must be safe for concurrent use.
type Baselines interface {
	// Status lists all agents; Agent gives one, and false where there is none.
	Status() []baseline.Status
	Agent(key string) (baseline.Status, bool)
	// Export gives the document of agents, or of all; see [baseline.Stage.Export].
	Export(keys ...string) ([]byte, error)
	// Parse checks a document that is to be imported.
	Parse([]byte) (baseline.Document, error)
}

// BaselineVerb is what an operator may do with the baseline of one agent.
type BaselineVerb string

// The verbs.
const (
	BaselineFreeze   BaselineVerb = "freeze"   // learn no more
	BaselineUnfreeze BaselineVerb = "unfreeze" // learn again
	BaselineReset    BaselineVerb = "reset"    // forget it
)

// BaselineList is the answer to GET /baseline.
type BaselineList struct {
	Agents []baseline.Status `json:"agents"`
}

// BaselineImport is the answer to an import.
type BaselineImport struct {
	// Agents whose baselines are there now.
	Agents []string `json:"agents"`
}

const noBaseline = "the pipeline has no g0_baseline"

// baselineRoutes adds the endpoints of the baselines.
func (s *Server) baselineRoutes(mux *http.ServeMux) {
	with := func(serve func(http.ResponseWriter, *http.Request, Baselines)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			b := s.backend.Baselines()
			if b == nil {
				fail(w, http.StatusConflict, noBaseline)
				return
			}
			serve(w, r, b)
		}
	}
	mux.HandleFunc("GET /baseline", with(func(w http.ResponseWriter, _ *http.Request, b Baselines) {
		answer(w, BaselineList{b.Status()})
	}))
	mux.HandleFunc("GET /baseline/export", with(s.exportBaseline))
	mux.HandleFunc("POST /baseline/import", with(s.importBaseline))
	for _, verb := range []BaselineVerb{BaselineFreeze, BaselineUnfreeze, BaselineReset} {
		mux.HandleFunc("POST /baseline/"+string(verb), with(func(w http.ResponseWriter, r *http.Request, b Baselines) {
			s.changeBaseline(w, r, b, verb)
		}))
	}
}

func (s *Server) exportBaseline(w http.ResponseWriter, r *http.Request, b Baselines) {
	doc, err := b.Export(r.URL.Query()["agent"]...)
	switch {
	case errors.Is(err, baseline.ErrUnknown):
		fail(w, http.StatusNotFound, err.Error())
	case err != nil:
		fail(w, http.StatusInternalServerError, err.Error())
	default:
		write(w, http.StatusOK, doc)
	}
}

// changeBaseline has the stage freeze, unfreeze or forget the baseline of one
// agent, and answers how it stands then.
func (s *Server) changeBaseline(w http.ResponseWriter, r *http.Request, b Baselines, verb BaselineVerb) {
	req, status, err := parse(w, r)
	if err != nil {
		fail(w, status, err.Error())
		return
	}
	who, err := req.who()
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if _, ok := b.Agent(who.Key()); !ok {
		fail(w, http.StatusNotFound, fmt.Sprintf("%v: %s", baseline.ErrUnknown, who.Key()))
		return
	}
	actor := s.actor(r.Context())
	typ := event.TypeBaselineFreezeAsk
	if verb == BaselineReset {
		typ = event.TypeBaselineResetAsk
	}
	if err := s.ask(r.Context(), typ, who, baseline.Ask{Actor: actor, Freeze: verb == BaselineFreeze}); err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	st, there := b.Agent(who.Key())
	if verb != BaselineReset && (!there || st.Frozen != (verb == BaselineFreeze)) {
		fail(w, http.StatusInternalServerError, notObeyed(who.Key()))
		return
	}
	s.log.Info("operator command", "event", typ, "agent", who.Key(), "actor", actor, "what", verb)
	answer(w, st)
}

func notObeyed(key string) string {
	return fmt.Sprintf("the command is journalled, but the baseline of %s is as before: there may be no room for it (max_total), a processor before g0_baseline may drop commands, or another one came in between", key)
}

// importers is how many agents of a document are imported at once: they share the
// journal's writes.
const importers = 64

// importBaseline puts the baselines of a document in the place of those that are
// there. All of it is checked before any of it is taken.
func (s *Server) importBaseline(w http.ResponseWriter, r *http.Request, b Baselines) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, baseline.MaxDocument))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the document is larger than %d bytes", baseline.MaxDocument))
		return
	}
	if err != nil {
		fail(w, http.StatusBadRequest, fmt.Sprintf("read document: %v", err))
		return
	}
	doc, err := b.Parse(body)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	actor := s.actor(r.Context())
	asks := make([]baseline.Ask, len(doc.Agents))
	for i := range doc.Agents {
		if asks[i], err = baseline.ImportOf(doc.Agents[i], actor); err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	g, ctx := errgroup.WithContext(r.Context())
	g.SetLimit(importers)
	for i, a := range doc.Agents {
		g.Go(func() error {
			return s.ask(ctx, event.TypeBaselineImportAsk, baseline.WhoOf(a), asks[i])
		})
	}
	if err := g.Wait(); err != nil {
		fail(w, http.StatusServiceUnavailable, "not all of it was taken: "+err.Error())
		return
	}
	out := BaselineImport{Agents: []string{}}
	for _, a := range doc.Agents {
		if st, there := b.Agent(a.Agent); !there || !holds(st, a) {
			fail(w, http.StatusInternalServerError, notObeyed(a.Agent))
			return
		}
		out.Agents = append(out.Agents, a.Agent)
	}
	s.log.Info("operator command", "event", event.TypeBaselineImportAsk, "agents", len(out.Agents), "actor", actor)
	answer(w, out)
}

// holds says whether as many items are there as a has: none are lost of an import
// that was taken.
func holds(st baseline.Status, a baseline.Agent) bool {
	for feature, items := range a.Features {
		if st.Items[feature].Known < len(items) {
			return false
		}
	}
	return true
}

// actor is who is connected.
func (s *Server) actor(ctx context.Context) string {
	uid, _ := s.operator(ctx) // guard has asked whether it may
	return fmt.Sprintf("uid:%d", uid)
}

func (s *Server) ask(ctx context.Context, typ string, who event.Agent, ask baseline.Ask) error {
	body, err := ask.Encode()
	if err != nil {
		return err
	}
	return s.backend.Ask(ctx, typ, who, body)
}

// Baselines lists the agents' baselines.
func (c *Client) Baselines(ctx context.Context) (list BaselineList, err error) {
	body, err := c.call(ctx, http.MethodGet, "/baseline", nil)
	if err != nil {
		return BaselineList{}, err
	}
	return list, decode(body, &list)
}

// ExportBaseline gives the document of these agents, or with none given of all.
func (c *Client) ExportBaseline(ctx context.Context, keys ...string) (jsontext.Value, error) {
	return c.call(ctx, http.MethodGet, "/baseline/export?"+url.Values{"agent": keys}.Encode(), nil)
}

// ImportBaseline puts the baselines of a document in the place of those there.
func (c *Client) ImportBaseline(ctx context.Context, doc []byte) (in BaselineImport, err error) {
	body, err := c.call(ctx, http.MethodPost, "/baseline/import", doc)
	if err != nil {
		return BaselineImport{}, err
	}
	return in, decode(body, &in)
}

// ChangeBaseline freezes, unfreezes or resets the baseline of an agent.
func (c *Client) ChangeBaseline(ctx context.Context, verb BaselineVerb, agent string) error {
	body, err := json.Marshal(Request{Agent: agent})
	if err != nil {
		return fmt.Errorf("encode command: %w", err)
	}
	_, err = c.call(ctx, http.MethodPost, "/baseline/"+string(verb), body)
	return err
}
