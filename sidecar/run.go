package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/component"
	"github.com/guard0-ai/g0-sidecar/pipeline/control"
	"github.com/guard0-ai/g0-sidecar/pipeline/feed"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
)

// How long a stop may take: the stream to decide on what was accepted, and the
// last snapshot.
const (
	drainTime = 15 * time.Second
	closeTime = 10 * time.Second
)

type runFlags struct {
	pipeline, daemon, state, logFormat string
}

func runCmd() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the sidecar",
		Long:  "Run the sidecar with the built-in pipeline, one of your own (--pipeline), or one made from a daemon.json (--config).",
		Args:  exactly(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return runSidecar(cmd.Context(), f) },
	}
	pipelineFlags(cmd, &f)
	stateFlag(cmd, &f.state)
	cmd.Flags().StringVar(&f.logFormat, "log", "text", "`FORMAT` of the log on standard error: text or json")
	return cmd
}

func pipelineFlags(cmd *cobra.Command, f *runFlags) {
	cmd.Flags().StringVar(&f.pipeline, "pipeline", "", "pipeline `FILE` instead of the built-in one")
	cmd.Flags().StringVar(&f.daemon, "config", "", "daemon.json `FILE` to make the pipeline from")
}

func stateFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "state", "", "`DIR` of journal, state and control socket (default ~/.g0)")
}

// stateDir resolves the flag of [stateFlag].
func stateDir(flag string) (string, error) {
	if flag != "" {
		return filepath.Abs(flag)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home folder for the state, give --state: %w", err)
	}
	return filepath.Join(home, ".g0"), nil
}

// controlSocket is where the sidecar of a state folder listens for operators.
func controlSocket(dir string) string { return filepath.Join(dir, "control.sock") }

func newLogger(format string) (*slog.Logger, error) {
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, nil)), nil
	}
	return nil, usageError{fmt.Errorf("--log %q is neither text nor json", format)}
}

// pipelineSource is a pipeline's text, what to call it in errors, and where the
// variables come from that it refers to.
type pipelineSource struct {
	name, text string
	lookup     func(string) (string, bool)
	warnings   []string
}

// loadPipeline reads what --pipeline or --config name.
func loadPipeline(pipeline, daemon string) (pipelineSource, error) {
	switch {
	case pipeline != "" && daemon != "":
		return pipelineSource{}, usageError{errors.New("--pipeline and --config: give one of them")}
	case pipeline != "":
		b, err := os.ReadFile(pipeline)
		return pipelineSource{name: pipeline, text: string(b), lookup: os.LookupEnv}, err
	case daemon != "":
		d, err := config.ReadDaemon(daemon)
		if err != nil {
			return pipelineSource{}, err
		}
		t, err := d.Pipeline()
		return pipelineSource{name: daemon, text: t.YAML, lookup: t.Lookup, warnings: t.Warnings}, err
	default:
		return pipelineSource{name: "built-in pipeline", text: config.Pipeline, lookup: os.LookupEnv}, nil
	}
}

// The collector runs more rarely than by default until the heap nears the limit,
// which gains throughput for memory (docs/performance.md has both sides). GOGC and
// GOMEMLIMIT in the environment win.
const (
	gcPercent   = 400
	memoryLimit = 64 << 20
)

func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}

func runSidecar(ctx context.Context, f runFlags) error {
	tuneCollector()
	log, err := newLogger(f.logFormat)
	if err != nil {
		return err
	}
	dir, err := stateDir(f.state)
	if err != nil {
		return err
	}
	src, err := loadPipeline(f.pipeline, f.daemon)
	if err != nil {
		return err
	}
	for _, w := range src.warnings {
		log.Warn("setting without effect", "what", w)
	}
	opt := spine.DefaultOptions(dir, log)
	opt.Version = buildVersion()
	sp, err := spine.Open(opt)
	if err != nil {
		return err
	}
	rt := &component.Runtime{Spine: sp, Log: log, OnListen: func(addr string) { log.Info("listening", "address", addr) }}
	err = serve(ctx, sp, rt, dir, src)
	closing, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return errors.Join(err, sp.Close(closing))
}

// serve runs stream, spine and control socket until ctx ends or one of them
// fails, then lets the stream decide on what was accepted.
func serve(ctx context.Context, sp *spine.Spine, rt *component.Runtime, dir string, src pipelineSource) error {
	env := component.NewEnvironment()
	if err := component.Register(env, rt); err != nil {
		return err
	}
	stream, err := component.NewStream(env, rt, src.name, src.text, src.lookup)
	if err != nil {
		return err
	}
	ctl := control.NewServer(controlSocket(dir), backend{sp}, rt.Log)
	if err := ctl.Listen(); err != nil {
		return err
	}
	sp.Source("control", ctl.Run)
	ended := make(chan error, 1)
	go func() { ended <- stream.Run() }()
	running := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { running <- sp.Run(ctx) }()
	rt.Log.Info("g0 runs", "version", buildVersion(), "state", dir, "pipeline", src.name)
	select {
	case err = <-ended:
		if err == nil {
			err = errors.New("the stream ended by itself")
		}
		cancel()
		return errors.Join(fmt.Errorf("%s: %w", src.name, err), <-running)
	case err = <-running:
		if err == nil {
			sp.Leave()
		}
	}
	rt.Log.Info("stopping")
	sp.StopSources()
	select {
	case e := <-ended:
		return errors.Join(err, e)
	case <-time.After(drainTime):
		rt.Log.Warn("the stream did not end in time: what it did not decide is replayed at the next start")
		return errors.Join(err, stream.Stop(time.Second))
	}
}

// backend shows the spine to the control socket.
type backend struct{ *spine.Spine }

func (b backend) Health() any { h, _ := b.Spine.Health(); return h }
func (b backend) Stats() any  { return b.Spine.Stats(true) }

func (b backend) Events(recent int) *feed.Subscription { return b.Feed.Subscribe(recent) }

func (b backend) Baselines() control.Baselines {
	all, _ := b.View(component.BaselineView).(control.Baselines)
	return all
}

func (b backend) KillSwitch() (control.KillSwitch, bool) {
	ks, ok := b.View(component.KillSwitchView).(control.KillSwitch)
	return ks, ok
}
