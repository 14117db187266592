// Package spine holds what must survive: the journal, the snapshots, the
// outbox and the intents, and the order in which they are written, so that a
// crash at any moment loses nothing and repeats nothing. The Benthos components
// hang on it; it knows nothing of Benthos.
package spine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/feed"
	"github.com/guard0-ai/g0-sidecar/pipeline/intake"
	"github.com/guard0-ai/g0-sidecar/pipeline/journal"
	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

// Options of a spine.
type Options struct {
	// Dir holds journal and state; made with mode 0700 if it is not there.
	Dir     string
	Log     *slog.Logger
	Version string
	Intake  intake.Options
	// SnapshotEvery is the longest time between snapshots while events come;
	// SnapshotEvents is how many events make one due earlier. Together they bound
	// what a restart replays.
	SnapshotEvery  time.Duration
	SnapshotEvents uint64
}

// DefaultOptions for a state folder.
func DefaultOptions(dir string, log *slog.Logger) Options {
	return Options{
		Dir: dir, Log: log, Version: "dev", Intake: intake.DefaultOptions(),
		SnapshotEvery: 5 * time.Second, SnapshotEvents: 50_000,
	}
}

// Stage is a stage whose state lives in the snapshot.
type Stage interface {
	Snapshot() ([]byte, error)
	Restore([]byte) error
}

// Timed is a [Stage] that wants a timer event when its deadline has passed.
type Timed interface {
	// NextDeadline is the earliest time at which something is due; zero: nothing.
	NextDeadline() time.Time
}

// Sharded is a [Stage] that keeps the larger part of its state apart for each
// agent, so that a snapshot writes only what changed.
type Sharded interface {
	// Shards gives the shards, by agent, that events after the one numbered since
	// changed; a nil value is one that is gone. 0: all there are. It must give the
	// same again until a later since, since a snapshot may fail.
	Shards(since uint64) (map[string][]byte, error)
	// RestoreShards takes back what snapshots saved; it is called after Restore.
	RestoreShards(map[string][]byte) error
}

// Service carries out what stages decided. Flush returns when everything handed
// to it so far is durable: no snapshot is written before.
type Service interface {
	Run(ctx context.Context) error
	Flush(ctx context.Context) error
}

// sources are shown in the health as off until they are configured, or for those
// that post, until they have posted.
var sources = []string{"openclaw", "falco", "tetragon_export", "tetragon", "docker"}

// countsPart is the snapshot part of the intake's counters.
const countsPart = "intake"

// Spine is safe for concurrent use.
type Spine struct {
	Board  *coverage.Board
	Intake *intake.Intake
	Log    *slog.Logger
	// Feed shows what goes through the stream.
	Feed feed.Hub

	opt     Options
	metrics *prometheus.Registry
	journal *journal.Journal
	state   *state.DB
	started time.Time
	seq     uint64 // of the snapshot that was restored
	parts   map[string][]byte

	snapshotting sync.Mutex // one snapshot at a time; taken before mu

	mu       sync.Mutex
	stages   map[string]Stage
	services []Service
	resolve  func(*event.Event) event.Agent
	views    map[string]func() any
	rejects  []func() map[string]uint64
	former   map[string]uint64 // rejected by former processes
	// savedBooks are those of the newest snapshot.
	savedBooks []byte
	mended     string // what was done to the journal at the start
	failed     uint64
	leaving    bool
	saved      uint64    // Seq of the newest snapshot
	savedAt    time.Time // and when it was taken
	ticked     time.Time
	onSaved    []func(stage string, seq uint64, changed []string)

	// They end in this order: what one still hands on, the next takes.
	sources, workers, base *group
}

// Open opens the state folder and finds what is to be replayed. Nothing runs yet.
func Open(opt Options) (*Spine, error) {
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	db, err := state.Open(filepath.Join(opt.Dir, "state.db"))
	if err != nil {
		return nil, err
	}
	seq, parts, err := db.Snapshot()
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	j, err := journal.Open(filepath.Join(opt.Dir, "journal"), journal.Options{Expect: seq, Log: opt.Log})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &Spine{
		Log: opt.Log, opt: opt, journal: j, state: db, started: opt.Intake.Now(), seq: seq, parts: parts, saved: seq,
		stages: map[string]Stage{}, views: map[string]func() any{}, sources: newGroup(), workers: newGroup(), base: newGroup(),
	}
	s.Board = coverage.New(opt.Intake.Now, func(ev *event.Event) { s.Intake.Emit(ev) })
	s.Intake = intake.New(j, s.Board, opt.Log, opt.Intake)
	s.metrics = newMetrics(s)
	if err := s.recover(); err != nil {
		return nil, errors.Join(err, j.Close(), db.Close())
	}
	return s, nil
}

// recover restores the counters and tells what the journal lost.
func (s *Spine) recover() error {
	if b, ok := s.parts[countsPart]; ok {
		if err := s.Intake.Counts().Restore(b); err != nil {
			return err
		}
	}
	s.savedBooks = s.parts[booksPart]
	if err := s.restoreBooks(); err != nil {
		return err
	}
	if err := s.Intake.Recover(s.seq); err != nil {
		return fmt.Errorf("recover journal: %w", err)
	}
	r := s.journal.Recovered()
	if r.TornTail || r.Detail != "" {
		s.Log.Warn("journal mended", "torn_tail", r.TornTail, "salvaged", r.Salvaged, "what", r.Detail)
	}
	if r.LostTo >= r.LostFrom && r.LostTo > 0 {
		s.Board.Count("journal", "damaged", r.Detail, r.LostTo-r.LostFrom+1)
	}
	s.mended = r.Detail
	last, err := s.journal.Read(s.journal.Last())
	if r.TornTail && r.Lost == 0 && err == nil {
		// A write that a crash interrupts looks like one that was damaged later:
		// the first was never confirmed, the second was. Nobody can count it.
		s.Board.Was("journal", "mended", "its end could not be read and was cut off: a write that was not finished, "+
			"or damage to events that had been accepted", last.Received)
	}
	if err == nil {
		s.tellGap(last.Received)
	}
	for _, source := range sources {
		s.Board.Set(source, coverage.StateOff, "")
	}
	s.Board.Set("journal", coverage.StateConnected, "")
	s.Board.Set("store", coverage.StateConnected, "embedded")
	if p := s.Intake.Position(); p.Backlog > 0 {
		s.Log.Info("replaying the journal", "from", p.Done+1, "to", p.Durable)
	}
	return nil
}

// Queue opens a durable queue of the state file.
func (s *Spine) Queue(name string) (*state.Queue, error) { return s.state.Queue(name) }

// Dir is the state folder.
func (s *Spine) Dir() string { return s.opt.Dir }

// Restored is the place in the journal of the snapshot that was restored: what
// follows it is replayed.
func (s *Spine) Restored() uint64 { return s.seq }

// State is the state file, for those who read what snapshots saved.
func (s *Spine) State() *state.DB { return s.state }

// OnSaved has f told, after each snapshot, which shards of which stage it wrote or
// took away, and its Seq. f must return at once: the next snapshot waits for it.
func (s *Spine) OnSaved(f func(stage string, seq uint64, changed []string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onSaved = append(s.onSaved, f)
}

// Register takes a stage into the snapshot under a name of its own and restores
// what the last snapshot holds of it.
func (s *Spine) Register(name string, st Stage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.stages[name]; taken {
		return fmt.Errorf("two stages are called %q: give one a label", name)
	}
	if b, ok := s.parts[name]; ok {
		if err := st.Restore(b); err != nil {
			return fmt.Errorf("restore %s from the snapshot: %w", name, err)
		}
	}
	if sharded, ok := st.(Sharded); ok {
		if err := s.restoreShards(name, sharded); err != nil {
			return fmt.Errorf("restore %s from the snapshot: %w", name, err)
		}
	}
	s.stages[name] = st
	return nil
}

func (s *Spine) restoreShards(name string, st Sharded) error {
	kept, err := s.state.Shards(name)
	if err != nil {
		return err
	}
	shards, err := kept.All()
	if err != nil || len(shards) == 0 {
		return err
	}
	return st.RestoreShards(shards)
}

// Serve runs a service until the spine closes, and flushes it before snapshots.
func (s *Spine) Serve(name string, svc Service) {
	s.mu.Lock()
	s.services = append(s.services, svc)
	s.mu.Unlock()
	s.workers.run(name, svc.Run)
}

// Source runs something that feeds the intake until [Spine.StopSources].
func (s *Spine) Source(name string, run func(context.Context) error) { s.sources.run(name, run) }

// Fail ends [Spine.Run] with an error that a component met after it was made.
func (s *Spine) Fail(err error) { s.base.fail(err) }

// SetResolver says how counters are resolved to agents.
func (s *Spine) SetResolver(f func(*event.Event) event.Agent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resolve = f
}

// AddView adds a part to what the control socket's status shows.
func (s *Spine) AddView(name string, f func() any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views[name] = f
}

// AddRejects adds a counter of refused events by reason to the statistics.
func (s *Spine) AddRejects(f func() map[string]uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejects = append(s.rejects, f)
}

// CountFailed counts an event that a processor of the user failed on; it went on.
func (s *Spine) CountFailed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed++
}

// Run runs until ctx ends or a part of it fails. Call [Spine.Close] afterwards.
func (s *Spine) Run(ctx context.Context) error {
	s.base.run("intake", s.Intake.Run)
	s.base.run("coverage", s.Board.Run)
	s.workers.run("snapshot", s.snapshots)
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.sources.failed:
		return err
	case err := <-s.workers.failed:
		return err
	case err := <-s.base.failed:
		return err
	}
}

// StopSources ends the sources, each having answered what it accepted, and lets
// the reader of the intake come to its end.
func (s *Spine) StopSources() {
	s.sources.stop()
	s.Intake.Drain()
}

// Close takes a last snapshot if the stream is at rest, ends the services and
// closes the files. ctx bounds the snapshot.
func (s *Spine) Close(ctx context.Context) error {
	s.StopSources()
	err := s.Snapshot(ctx)
	if errors.Is(err, intake.ErrBusy) {
		s.Log.Warn("stopped with events under way: they will be replayed")
		err = nil
	}
	s.workers.stop()
	s.base.stop()
	return errors.Join(err, s.writeLeft(), s.journal.Close(), s.state.Close())
}
