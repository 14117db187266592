// Package demo shows one attack going all the way: recorded events of the real
// OpenClaw plugin, Tetragon and Falco go into a real g0, first those of normal
// work, which it learns, then those of an attack, in which it is killed and started
// again. What comes out is shown and checked.
package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

//go:embed pipeline.yaml
var pipeline string

// patience bounds the whole demo.
const patience = 50 * time.Second

// Options of a demo.
type Options struct {
	// Executable is the g0 that is run.
	Executable string
	// Out is where it is shown, 80 columns wide; colours if it is a terminal.
	Out io.Writer
}

// ErrFailed says that something that the demo promises did not happen; what, was
// shown.
var ErrFailed = errors.New("the demo did not show what it should")

// Run plays the demo. It ends by itself within a minute and leaves nothing behind.
func Run(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dir, err := os.MkdirTemp("", "g0-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	story, err := loadStory()
	if err != nil {
		return err
	}
	s := &stage{dir: dir, exe: o.Executable, story: story}
	defer s.close()
	show := newScreen(o.Out)
	show.title("g0 demo", "one attack, seen by three sources, decided, told")
	if err := s.open(ctx); err != nil {
		return fmt.Errorf("set the stage: %w", err)
	}
	show.setting(s)
	if err := s.play(ctx, show); err != nil {
		return fmt.Errorf("play: %w", err)
	}
	result, err := s.result(ctx)
	if err != nil {
		return fmt.Errorf("collect what came out: %w", err)
	}
	if s.redis != nil {
		s.stop() // which writes the last changes
		n, err := s.redis.copied(ctx, s.state())
		result.redis = &copies{n, err}
	}
	if result.generated, err = s.generated(ctx); err != nil {
		return err
	}
	show.learned(result)
	show.timeline(result)
	show.firstSeen(result)
	show.threats(result)
	show.killSwitch(result)
	show.message(result)
	show.digest(result)
	show.files(result)
	failed := show.checks(result.checks(story))
	show.next()
	if failed > 0 {
		return fmt.Errorf("%w: %d checks failed", ErrFailed, failed)
	}
	return nil
}
