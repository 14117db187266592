// Package component makes g0's sources, stages and its output guard Benthos
// components: one file a component, each a thin adapter over a Go type that
// knows nothing of Benthos. It is the only package that imports Benthos.
package component

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
)

// Runtime is what the components of one process share. The zero value serves
// `g0 pipeline`: the stages work from memory, and inputs cannot be made.
type Runtime struct {
	// Spine of a running sidecar.
	Spine *spine.Spine
	// Log for security events and the components' own words; nil: none.
	Log *slog.Logger
	// OnListen is told the receiver's address once it listens; nil: nobody.
	OnListen func(address string)

	baton      baton
	ended      chan struct{}
	end        func()
	rules      knownRules
	policyMode atomic.Pointer[func(string) string]
	alarms     atomic.Pointer[alarms] // nil: no g0_baseline
	// deferred says that inputs leave contents out, see content.go. It is set
	// before the stream is built.
	deferred bool
	// unidentified says that the pipeline has no g0_identify, so that inputs show
	// the feed what comes in. It is set as deferred is.
	unidentified bool
	// checking says that components are made for [Check] only, so that they look
	// at all that they would need.
	checking bool
}

// Register adds g0's components to env. It is called once for an environment.
func Register(env *service.Environment, rt *Runtime) error {
	rt.baton, rt.ended = make(baton, 1), make(chan struct{})
	rt.end = sync.OnceFunc(func() { close(rt.ended) })
	if rt.Log == nil {
		rt.Log = slog.New(slog.DiscardHandler)
	}
	return errors.Join(
		env.RegisterBatchInput("g0_receiver", receiverSpec(), rt.newReceiver),
		env.RegisterBatchInput("g0_tetragon", tetragonSpec(), rt.newTetragon),
		env.RegisterBatchInput("g0_docker", dockerSpec(), rt.newDocker),
		env.RegisterBatchInput("g0_internal", internalSpec(), rt.newInternal),
		rt.registerStages(env),
		env.RegisterBatchProcessor(contentName, contentSpec(), newContentWriter),
		env.RegisterBatchOutput(IsolateName, isolateSpec(), func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			out, err := newIsolate(conf, rt.board())
			if err == nil && rt.Spine != nil {
				rt.Spine.Serve(IsolateName, out)
			}
			return out, service.BatchPolicy{}, 1, err
		}),
	)
}

// stages are the stages that there are, in the order of the built-in pipeline.
func (rt *Runtime) stages() []stageKind {
	return []stageKind{
		{"g0_identify", identifySpec(), rt.newIdentify},
		{"g0_baseline", baselineSpec(), rt.newBaseline},
		{"g0_generate", generateSpec(), rt.newGenerate},
		{"g0_correlate", correlateSpec(), rt.newCorrelate},
		{"g0_killswitch", killswitchSpec(), rt.newKillswitch},
		{"g0_notify", notifySpec(), rt.newNotify},
	}
}

func (rt *Runtime) registerStages(env *service.Environment) error {
	kinds := rt.stages()
	errs := []error{env.RegisterBatchProcessor(stagesName, stagesSpec(), newStages(env, kinds))}
	for _, k := range kinds {
		errs = append(errs, env.RegisterBatchProcessor(k.name, k.spec, k.make))
	}
	return errors.Join(errs...)
}

var errNeedsRun = errors.New("this input journals what it takes, so it works only under g0 run")

func (rt *Runtime) reader() reader {
	return reader{spine: rt.Spine, baton: rt.baton, ended: rt.ended, end: rt.end, message: rt.message}
}

// message makes a message of an event that comes in.
func (rt *Runtime) message(ev *event.Event) *service.Message {
	if rt.unidentified {
		rt.Spine.Feed.Publish(ev)
	}
	if rt.deferred {
		return unwrittenOf(ev)
	}
	return messageOf(ev)
}

func (rt *Runtime) board() *coverage.Board {
	if rt.Spine == nil {
		return nil
	}
	return rt.Spine.Board
}

// register puts a stage into the snapshot under its name, and its label if it
// has one.
func (rt *Runtime) register(name string, res *service.Resources, st spine.Stage) error {
	if rt.Spine == nil {
		return nil
	}
	if label := res.Label(); label != "" {
		name += ":" + label
	}
	return rt.Spine.Register(name, st)
}

// secretFields are a secret and the file to read it from instead.
func secretFields(name, description string) []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringField(name).Default("").Secret().
			Description(description + " Take it from the environment (`${NAME}`) or a file, not from here."),
		service.NewStringField(name + "_file").Default("").
			Description("File that holds `" + name + "`; spaces around it are cut."),
	}
}

// maxSecretFile bounds a secret's file in bytes.
const maxSecretFile = 64 << 10

// secret reads what [secretFields] declared.
func secret(conf *service.ParsedConfig, name string) (config.Secret, error) {
	value, err := conf.FieldString(name)
	if err != nil {
		return "", err
	}
	path, err := conf.FieldString(name + "_file")
	if err != nil || path == "" {
		return config.Secret(value), err
	}
	if value != "" {
		return "", fmt.Errorf("%s and %s_file: give one of them", name, name)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%s_file: %w", name, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecretFile {
		return "", fmt.Errorf("%s_file: %s is not a file of up to %d bytes", name, path, maxSecretFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s_file: %w", name, err)
	}
	if s := strings.TrimSpace(string(b)); s != "" {
		return config.Secret(s), nil
	}
	return "", fmt.Errorf("%s_file: %s is empty", name, path)
}
