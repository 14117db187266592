// Package probe gathers what is known of a deployment on this machine: files,
// processes, containers, what sensors and the kernel have loaded. Each probe is
// bounded and fails alone: what it could not look at is told with the reason.
// None needs root, but without it most can see little.
package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync"
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
	// MaxFolders bounds the folders that are looked into, above 0.
	MaxFolders int
}

// DefaultOptions are for programs that run on this machine as their packages
// install them.
func DefaultOptions(d *deployment.Deployment) Options {
	return Options{
		Deployment: d,
		Docker:     "unix:///var/run/docker.sock", Tetragon: "unix:///var/run/tetragon/tetragon.sock",
		Proc: "/proc", LSM: "/sys/kernel/security/lsm", Falco: "/etc/falco",
		Timeout: 15 * time.Second, MaxFolders: 100_000,
	}
}

// Collect asks all probes at once and returns when all have ended, after
// Options.Timeout at the latest for those that can be cut short. The ends of a
// context and of that time make facts unknown; there is no error.
func Collect(ctx context.Context, o Options) scan.Facts {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	f := scan.Facts{Deployment: o.Deployment, Want: o.Want}
	state := o.Deployment.State()
	if o.Settings == "" {
		o.Settings = path.Join(state, openclaw.ConfigName)
	}
	var each sync.WaitGroup
	each.Go(func() { f.Settings = fact(openclaw.ReadConfig(o.Settings)) })
	each.Go(func() { f.EnvFile = fact(envFile(path.Join(state, ".env"))) })
	each.Go(func() { f.Files, f.Secrets = lookAtFiles(ctx, o) })
	each.Go(func() { f.Audit = fact(auditRules()) })
	each.Go(func() { f.Tetragon = fact(tetragonPolicies(ctx, o.Tetragon)) })
	each.Go(func() { f.Firewall = firewall() })
	each.Go(func() { f.LSM = fact(SecurityModules(o.LSM)) })
	each.Go(func() {
		found, err := containers(ctx, o)
		f.Containers = fact(found.facts, err)
		lookAtProcesses(ctx, o, found, &f)
	})
	each.Wait()
	return f
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
