// Package probe gathers what is known of a deployment on this machine: files,
// processes, containers, what sensors and the kernel have loaded. Each probe is
// bounded and fails alone: what it could not look at is told with the reason.
// None needs root, but without it most can see little.
package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/openclaw"
	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// Options say where to look. Start from [DefaultOptions].
type Options struct {
	// Deployment to look at, validated. Needed.
	Deployment *deployment.Deployment
	// Want is what g0 generates for it.
	Want scan.Want
	// Settings is the path of openclaw.json. Empty: in the state folder.
	Settings string
	// Docker and Tetragon are addresses, "unix:///…". Empty: not asked.
	Docker, Tetragon string
	// Proc, LSM and Falco are the paths of procfs, of the kernel's list of security
	// modules and of Falco's configuration.
	Proc, LSM, Falco string
	// Timeout of each probe, above 0.
	Timeout time.Duration
	// MaxFolders bounds the folders of one agent, and those of nobody, that are
	// looked into; above 0.
	MaxFolders int
}

// DefaultOptions are for programs that run on this machine as their packages
// install them.
func DefaultOptions(d *deployment.Deployment) Options {
	return Options{
		Deployment: d,
		Docker:     "unix:///var/run/docker.sock", Tetragon: "unix:///var/run/tetragon/tetragon.sock",
		Proc: "/proc", LSM: lsmList, Falco: "/etc/falco",
		Timeout: 15 * time.Second, MaxFolders: 20_000,
	}
}

// Collect asks all probes at once and returns when all have ended, after
// Options.Timeout and 2 seconds at the latest: a probe that hangs is given up, and
// its goroutine stays until the kernel lets go of it; of 64 such no more are
// started. The ends of a context and of that time make facts unknown; there is no
// error.
func Collect(ctx context.Context, o Options) scan.Facts {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	f := scan.Facts{Deployment: o.Deployment, Want: o.Want}
	state := o.Deployment.State()
	if o.Settings == "" {
		o.Settings = path.Join(state, openclaw.ConfigName)
	}
	var each sync.WaitGroup
	each.Go(func() {
		f.Settings = bounded(ctx, scan.Unknown, func() scan.Fact[*openclaw.Config] { return fact(settings(o.Settings)) })
	})
	each.Go(func() {
		f.EnvFile = bounded(ctx, scan.Unknown, func() scan.Fact[[]string] { return fact(envFile(path.Join(state, ".env"))) })
	})
	each.Go(func() {
		s := bounded(ctx, unseen, func() seen { return lookAtFiles(ctx, o) })
		f.Files, f.Secrets, f.Missed = s.files, s.secrets, s.missed
	})
	each.Go(func() {
		f.Audit = bounded(ctx, scan.Unknown, func() scan.Fact[[]string] { return fact(loadedAudit()) })
	})
	each.Go(func() {
		all := func(string) []string { return o.Want.AuditRules }
		f.Want.AuditRules = bounded(ctx, all, func() []string { return loadable(o.Want) })
	})
	each.Go(func() { f.Tetragon = fact(tetragonPolicies(ctx, o.Tetragon)) })
	each.Go(func() {
		f.Firewall = bounded(ctx, func(why string) scan.Firewall {
			chains := scan.Unknown[map[string][]string](why)
			return scan.Firewall{V4: chains, V6: chains, NFT: scan.Unknown[[]scan.Table](why)}
		}, firewall)
	})
	each.Go(func() {
		f.LSM = bounded(ctx, scan.Unknown, func() scan.Fact[[]string] { return fact(SecurityModules(o.LSM)) })
	})
	var running scan.Facts
	each.Go(func() { running = whatRuns(ctx, o) })
	each.Wait()
	f.Containers, f.Processes, f.Falco = running.Containers, running.Processes, running.Falco
	f.Listeners, f.Connections = running.Listeners, running.Connections
	return f
}

// whatRuns asks Docker, for half of the time at most, and then looks at processes.
func whatRuns(ctx context.Context, o Options) scan.Facts {
	asking, cancel := context.WithTimeout(ctx, o.Timeout/2)
	found, err := containers(asking, o)
	cancel()
	containers := fact(found.facts, err)
	f := bounded(ctx, func(why string) scan.Facts {
		return scan.Facts{
			Processes: scan.Unknown[[]scan.Process](why), Falco: scan.Unknown[scan.Falco](why),
			Listeners: scan.Unknown[[]netip.AddrPort](why), Connections: scan.Unknown[[]scan.Connection](why),
		}
	}, func() (f scan.Facts) {
		lookAtProcesses(ctx, o, found, &f)
		return f
	})
	f.Containers = containers
	return f
}

const (
	// grace is what a probe may take after its time, to give what it has.
	grace = 2 * time.Second
	// maxHanging bounds the probes that never came back.
	maxHanging = 64
)

// hanging are the probes that run, those that were given up among them.
var hanging atomic.Int64

// bounded runs a probe and gives it up where it does not end with ctx: a read of
// a process's memory or of a file takes as long as an agent likes, if it serves
// the pages or the file system by FUSE.
func bounded[T any](ctx context.Context, unknown func(why string) T, probe func() T) T {
	if hanging.Add(1) > maxHanging {
		hanging.Add(-1)
		return unknown("earlier probes hang")
	}
	done := make(chan T, 1)
	go func() {
		defer hanging.Add(-1)
		done <- probe()
	}()
	select {
	case v := <-done:
		return v
	case <-ctx.Done():
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case v := <-done:
		return v
	case <-late.C:
		return unknown("it hangs")
	}
}

// settings reads openclaw.json, and follows no link out of its folder.
func settings(at string) (*openclaw.Config, error) {
	folder, err := os.OpenRoot(path.Dir(at))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	if info, err := folder.Stat(path.Base(at)); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() { // to open a device may do something
		return nil, fmt.Errorf("%s is no file but %s", at, info.Mode().Type())
	}
	return openclaw.ReadConfigIn(folder, path.Base(at), at)
}

// fact makes one of what a probe gave.
func fact[T any](v T, err error) scan.Fact[T] {
	if err != nil {
		return scan.Unknown[T](reason(err))
	}
	return scan.Of(v)
}

// reason says an error in a clause that can be shown.
func reason(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "it took too long"
	case errors.Is(err, context.Canceled):
		return "it was broken off"
	}
	return scan.Name(strings.TrimSpace(err.Error()))
}

// denied says whether only more rights would help.
func denied(err error) bool { return errors.Is(err, fs.ErrPermission) }

// newKey makes the key for the marks of one run; it is never kept.
func newKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it ends the program rather than give an error
	return key
}
