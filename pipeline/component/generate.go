package component

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/generate"
	"github.com/guard0-ai/g0-sidecar/pipeline/upkeep"
	"github.com/guard0-ai/g0-sidecar/rules"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/probe"
)

const (
	// scanFile is the report of the last scan, in the state folder.
	scanFile = "scan.json"
	// minScan is the shortest time between scans, which read all files of agents.
	minScan = 10 * time.Second
	// resolveTime bounds how long domains of the allow list are asked for.
	resolveTime = 20 * time.Second
)

func generateSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Keeps the files of Tetragon, Falco, auditd, iptables and Docker Compose as the deployment is.").
		Description("The files are written anew, all or none, when the description is edited or containers of agents come and go: "+
			"`rules.generated` says which changed, `rules.failed` that they could not be written. At an interval the deployment is "+
			"scanned as `g0 scan` does, and what differs from the scan before is `drift.detected`, or `cognitive.modified` of an "+
			"agent whose files were changed. With what Falco and the kernel reported since. Put it behind `g0_identify` and before "+
			"`g0_correlate`. How it works in full: [generators.md](generators.md#kept-up-to-date).").
		Field(service.NewStringField("deployment").Description("The YAML file that describes the deployment; it is looked at each second.")).
		Field(service.NewStringField("output_dir").
			Description("Folder for the files, which is made where it is missing. Only root and g0's user should be able to write it.")).
		Field(service.NewStringListField("only").Default([]any{}).
			Description("Tools to write files for: tetragon, falco, auditd, egress, compose. Empty: all.")).
		Field(service.NewBoolField("docker").Default(true).
			Description("Take the containers that run, and whose they are, from what `g0_docker` reports. Without that input it changes nothing.")).
		Field(service.NewStringField("openclaw_audit").Default("").
			Description("Folder of the agents, where the description does not say it.")).
		Field(service.NewStringField("tetragon_version").Default("").Description("Release of Tetragon to write for, such as v1.7.0. Empty: the newest known.")).
		Field(service.NewBoolField("extra_policies").Default(false).Description("Also write the policies for files that instruct agents and for code.")).
		Field(service.NewBoolField("syscall_hooks").Default(false).Description("Hook system calls, which can be walked round, for kernels without the better hooks.")).
		Field(service.NewDurationField("scan_interval").Default("10m").
			Description("Time between scans, at least 10s; CT-005 looks back 15 minutes. 0s: none.")).
		Example("Up to date", "Containers' ids in the policies follow the containers.", `
pipeline:
  processors:
    - g0_identify: {}
    - g0_generate:
        deployment: /etc/g0/deployment.yaml
        output_dir: /var/lib/g0/rules
    - g0_correlate: {}
`)
}

// generateConfig are the fields of a g0_generate.
type generateConfig struct {
	deployment, dir, agents string
	docker                  bool
	scanEvery               time.Duration
	options                 rules.Options
}

func readGenerate(conf *service.ParsedConfig) (generateConfig, error) {
	var g getter
	cfg := generateConfig{
		deployment: get(&g, conf.FieldString, "deployment"),
		dir:        get(&g, conf.FieldString, "output_dir"),
		agents:     get(&g, conf.FieldString, "openclaw_audit"),
		docker:     get(&g, conf.FieldBool, "docker"),
		scanEvery:  get(&g, conf.FieldDuration, "scan_interval"),
		options: rules.Options{
			Only:            getList(&g, conf.FieldStringList, "only"),
			TetragonRelease: get(&g, conf.FieldString, "tetragon_version"),
			Extra:           get(&g, conf.FieldBool, "extra_policies"),
			SyscallHooks:    get(&g, conf.FieldBool, "syscall_hooks"),
		},
	}
	for name, path := range map[string]string{"deployment": cfg.deployment, "output_dir": cfg.dir, "openclaw_audit": cfg.agents} {
		if !filepath.IsAbs(path) && (name != "openclaw_audit" || path != "") {
			g.note(fmt.Errorf("%s: %q is not an absolute path", name, path))
		}
	}
	for _, tool := range cfg.options.Only {
		if !slices.Contains(rules.Tools, tool) {
			g.note(fmt.Errorf("only: %q is none of %q", tool, rules.Tools))
		}
	}
	if cfg.scanEvery != 0 && cfg.scanEvery < minScan {
		g.note(fmt.Errorf("scan_interval: %v, must be 0s or at least %v", cfg.scanEvery, minScan))
	}
	return cfg, g.err()
}

func (rt *Runtime) newGenerate(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	cfg, err := readGenerate(conf)
	if err != nil {
		return nil, err
	}
	st := generate.New()
	if err := rt.register(generate.Name, res, st); err != nil {
		return nil, err
	}
	changed := func() {}
	if rt.Spine != nil {
		changed = rt.newUpkeep(cfg, st).Changed
	}
	return newStageProcessor(rt.Spine, deriving(func(ev *event.Event) []*event.Event {
		derived, stale := st.Apply(ev)
		if stale && cfg.docker {
			changed()
		}
		return derived
	})), nil
}

// newUpkeep starts the worker that writes the files and scans.
func (rt *Runtime) newUpkeep(cfg generateConfig, st *generate.Stage) *upkeep.Worker {
	cfg.options.Version = rt.Spine.Version()
	known := addresses{}
	w := upkeep.New(upkeep.Options{
		Deployment: cfg.deployment, Agents: cfg.agents, Dir: cfg.dir, ScanEvery: cfg.scanEvery, Log: rt.Log,
		Complete: func(d *deployment.Deployment) {
			if cfg.docker {
				upkeep.Complete(d, st.Containers())
			}
		},
		Generate: func(ctx context.Context, d *deployment.Deployment) (upkeep.Generated, error) {
			return generateFor(ctx, cfg.options, d, filepath.Join(rt.Spine.Dir(), scanFile), known)
		},
		Report: func(ctx context.Context, ev *event.Event) error {
			switch ev.Type {
			case event.TypeRulesGenerated:
				rt.Spine.Board.Set("rules", coverage.StateConnected, "")
			case event.TypeRulesFailed:
				rt.Spine.Board.Set("rules", coverage.StateDegraded, ev.Message)
			}
			return rt.Spine.Report(ctx, ev)
		},
	})
	rt.Spine.Serve(generate.Name, w)
	rt.Spine.AddView(generate.Name, func() any { return w.Status() })
	return w
}

// addresses are those that domains of the allow list had when they were asked for
// last. Of one worker only.
type addresses map[string][]string

// resolve asks for the addresses in d. Where nobody answers for a name it keeps
// those of before, as a DNS that is down must not take from agents what they are
// allowed; without any, enforcing files are not written at all, and the old ones
// stay. notes say so.
func (a addresses) resolve(ctx context.Context, d *deployment.Deployment, r deployment.Resolver) (notes []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	enforces := d.Enforcement.Mode == deployment.Enforce
	written := d.Egress.Resolved
	d.Egress.Resolved = maps.Clone(written)
	if d.Egress.Resolved == nil {
		d.Egress.Resolved = map[string][]string{}
	}
	missing, err := d.Resolve(ctx, r)
	if err != nil && len(missing) == 0 && (enforces || !errors.Is(err, context.DeadlineExceeded)) {
		return nil, err
	}
	if err != nil && len(missing) == 0 { // too many did not answer: of none is known which
		maps.Copy(d.Egress.Resolved, a)
		notes = append(notes, "egress.allow: "+err.Error()+"; addresses of before are kept")
	}
	for name, got := range d.Egress.Resolved {
		if len(written[name]) == 0 {
			a[name] = got
		}
	}
	for _, m := range missing {
		switch before := a[m.Name]; {
		case m.NoAnswer && len(before) > 0:
			d.Egress.Resolved[m.Name] = before
			notes = append(notes, "egress.allow: "+m.String()+"; its addresses of before are kept")
		case m.NoAnswer && enforces:
			return nil, fmt.Errorf("egress.allow: %s: enforcing without it would stop what is allowed", m)
		default:
			delete(a, m.Name)
			notes = append(notes, "egress.allow: "+m.String())
		}
	}
	if len(d.Egress.Resolved) == 0 {
		d.Egress.Resolved = nil // as a description without them has it
	}
	if all := d.Destinations(); enforces && len(all.Any)+len(all.Ports) == 0 {
		return nil, err
	}
	return notes, nil
}

// generateFor writes nothing yet: it gives the files and the scan that looks for
// them.
func generateFor(ctx context.Context, opt rules.Options, d *deployment.Deployment, kept string, known addresses) (upkeep.Generated, error) {
	notes, err := known.resolve(ctx, d, net.DefaultResolver)
	if err != nil {
		return upkeep.Generated{}, err
	}
	out := upkeep.Generated{Notes: notes}
	here := probe.Here()
	opt.Deployment, opt.Kernel, opt.NoLSM = d, here.Release, !here.LSM
	b, err := rules.Generate(opt)
	if err != nil {
		return out, err
	}
	said := b.Notes()
	for _, tool := range slices.Sorted(maps.Keys(said)) {
		for _, n := range said[tool] {
			out.Notes = append(out.Notes, tool+": "+n)
		}
	}
	for _, l := range b.Left {
		out.Notes = append(out.Notes, l.Tool+": "+l.Err.Error())
	}
	out.Files = b.Files()
	var policies []string
	for _, p := range b.Tetragon.Policies {
		policies = append(policies, p.Name)
	}
	want, err := probe.Want(policies, b.Falco.YAML, b.Auditd.Text)
	if err != nil {
		return out, fmt.Errorf("read back what was generated: %w", err)
	}
	out.Scan = func(ctx context.Context) (generate.Scan, func() error, error) {
		o := probe.DefaultOptions(d)
		o.Want = want
		return upkeep.Scan(ctx, o, kept)
	}
	return out, nil
}
