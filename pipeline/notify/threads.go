package notify

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

// maxThreads bounds the threads that are remembered, of all targets together: the
// oldest goes, and a further alert of its incident begins another. No incident has
// the name of an earlier one, so none needs to be forgotten before.
const maxThreads = 1000

// ThreadStore keeps threads on disk; [state.Queue] is one.
type ThreadStore interface {
	// Put, Done and Pending are those of a [Queue].
	Put(entries ...state.Entry) ([]state.Entry, error)
	Done(ids ...string) error
	Pending() ([]state.Entry, error)
	// Forget forgets the IDs of what is done.
	Forget(upTo uint64) error
}

// threading is a [Format] whose service has threads.
type threading interface {
	// EncodeIn is Encode for an alert that goes into a thread; "": into none.
	EncodeIn(a Alert, thread string) (Payload, error)
}

// incidentThread is where the alerts of an incident go at a target.
type incidentThread struct {
	Target   string `json:"target"`
	Incident string `json:"incident"`
	Thread   string `json:"thread"` // as the service calls it
}

func (t incidentThread) id() string { return t.Target + "/" + t.Thread }

// threadName is what services may call one: it becomes an ID of the store.
var threadName = regexp.MustCompile(`^[0-9A-Za-z._-]{1,64}$`)

// threads remembers which incidents have one, across restarts if it has a store. An
// incident whose first alert was posted just before a crash gets another. Safe for
// concurrent use.
type threads struct {
	store ThreadStore // nil: memory only
	log   *slog.Logger

	mu   sync.Mutex
	list []incidentThread // oldest first
}

// newThreads reads what is remembered. What cannot be read is forgotten.
func newThreads(store ThreadStore, log *slog.Logger) (*threads, error) {
	t := &threads{store: store, log: log}
	if store == nil {
		return t, nil
	}
	entries, err := store.Pending()
	damaged, err := state.Damaged(err)
	if err != nil {
		return nil, fmt.Errorf("read threads: %w", err)
	}
	var gone []string
	for _, d := range damaged {
		gone = append(gone, d.ID)
	}
	for _, e := range entries {
		var th incidentThread
		if err := json.Unmarshal(e.Body, &th); err != nil {
			gone = append(gone, e.ID)
			continue
		}
		t.list = append(t.list, th)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(gone...)
	return t, nil
}

// of gives the thread of an incident; "": it has none.
func (t *threads) of(target, incident string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := t.index(target, incident); i >= 0 {
		return t.list[i].Thread
	}
	return ""
}

// begin remembers the thread of an incident that has none.
func (t *threads) begin(th incidentThread) {
	if !threadName.MatchString(th.Thread) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.index(th.Target, th.Incident) >= 0 {
		return
	}
	if len(t.list) >= maxThreads {
		t.drop(t.list[0].id())
		t.list = slices.Delete(t.list, 0, 1)
	}
	t.list = append(t.list, th)
	if t.store == nil {
		return
	}
	b, err := json.Marshal(th)
	if err == nil {
		_, err = t.store.Put(state.Entry{ID: th.id(), Body: b})
	}
	if err != nil {
		t.log.Warn("thread of an incident not stored: after a restart it begins another", "target", th.Target, "err", err)
	}
}

// end forgets a thread that is no more.
func (t *threads) end(target, incident string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.index(target, incident)
	if i < 0 {
		return
	}
	t.drop(t.list[i].id())
	t.list = slices.Delete(t.list, i, i+1)
}

func (t *threads) index(target, incident string) int {
	return slices.IndexFunc(t.list, func(th incidentThread) bool { return th.Target == target && th.Incident == incident })
}

// drop takes threads out of the store.
func (t *threads) drop(ids ...string) {
	if t.store == nil || len(ids) == 0 {
		return
	}
	err := t.store.Done(ids...)
	if err == nil {
		err = t.store.Forget(0)
	}
	if err != nil {
		t.log.Warn("thread of an incident not removed", "threads", len(ids), "err", err)
	}
}
