// Package tetragon writes Tetragon's TracingPolicies for a deployment of agents:
// hooks, operators and fields that were seen to load and to fire, scoped so that
// they can only hit the agents.
package tetragon

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// Options of [Generate].
type Options struct {
	// Deployment is required, and is only read.
	Deployment *deployment.Deployment
	// Version of g0, for the first line of each file.
	Version string
	// Release of Tetragon, from v1.3.0 on. Empty: [DefaultRelease].
	Release string
	// NoLSM is for kernels without the BPF LSM: enforcing is then Sigkill at a
	// kprobe, which comes after the act.
	NoLSM bool
	// Kernel that Tetragon runs on, as uname -r has it. Empty: unknown. A policy
	// with what a kernel lacks is not only refused: in the folder that Tetragon
	// reads when it starts, it ends Tetragon (upstream's loadTpFromDir).
	Kernel string
	// SyscallHooks is for kernels without the functions that policies hook, and for
	// observing only: sys_openat and its like see what a program typed.
	SyscallHooks bool
	// Extra adds deployment.ExtraPolicies.
	Extra bool
	// Shadow loads what enforces in Tetragon's monitor mode: events, and no act.
	Shadow bool
}

// Rules is what [Generate] makes.
type Rules struct {
	// PolicyCount is the number of Policies: six that observe, more where one file
	// can't hold what a policy needs.
	PolicyCount int      `json:"policyCount"`
	Policies    []Policy `json:"policies"`
	// YAML has all of them, as documents of one file for kubectl. Tetragon itself
	// reads only the first document of a file.
	YAML string `json:"yaml"`
	// DockerCompose is not filled by Generate.
	DockerCompose string `json:"dockerCompose"`
	// Notes say what was left out, widened or can't be seen, a sentence each.
	Notes []string `json:"notes,omitzero"`
}

// Policy is one file. Tetragon knows it by Name.
type Policy struct {
	Name string `json:"name"`
	YAML string `json:"yaml"`
}

// generator holds what Generate has found out so far.
type generator struct {
	o       Options
	d       *deployment.Deployment
	release release
	kernel  kernel
	// provenance is the first line of each file.
	provenance string
	scopes
	about string // of the scope, for headers; empty: it is told by cgroups
	pods  bool   // the scope is one of pods

	toolIDs, gatewayIDs []string        // of containers
	gateways            map[string]bool // gatewayIDs, cut to shortID
	gatewayBeside       bool            // an agent's own container runs OpenClaw
	agentIDs            []string        // sorted

	policies []Policy
	notes    []string
}

// Generate writes the six policies of the deployment. It reads nothing but o, and
// the same o gives the same bytes. What the release can't express is left out and
// noted where it would only report, and an error where it should enforce. An error
// names the key and the value; there are no Rules then.
func Generate(o Options) (Rules, error) {
	if o.Deployment == nil {
		return Rules{}, errors.New("tetragon: there is no deployment")
	}
	g := &generator{o: o, d: o.Deployment, provenance: o.Deployment.Provenance(o.Version)}
	steps := []func() error{
		g.check, g.findScopes,
		g.egress, g.crossAgent, g.dockerSocket, g.sensitiveBinary, g.credentials, g.logs,
	}
	if o.Extra {
		steps = append(steps, g.cognitive, g.code)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return Rules{}, fmt.Errorf("tetragon: %w", err)
		}
	}
	r := Rules{PolicyCount: len(g.policies), Policies: g.policies, Notes: g.notes}
	var all strings.Builder
	for i, p := range g.policies {
		doc := p.YAML
		if i > 0 {
			// Who made the file is said once, so that a diff is no longer than the change.
			_, doc, _ = strings.Cut(doc, "\n")
			all.WriteString("---\n")
		}
		all.WriteString(doc)
	}
	r.YAML = all.String()
	return r, nil
}

// check refuses what can't be generated for, whatever the policy.
func (g *generator) check() error {
	var err error
	if g.release, err = parseRelease(g.o.Release); err != nil {
		return err
	}
	if g.kernel, err = parseKernel(g.o.Kernel); err != nil {
		return err
	}
	if err := usable("agentDataPath", g.d.AgentDataPath, maxPrefix); err != nil {
		return err
	}
	if !path.IsAbs(g.d.AgentDataPath) || path.Clean(g.d.AgentDataPath) == "/" {
		return fmt.Errorf("agentDataPath: %q must be an absolute path, and not the root", g.d.AgentDataPath)
	}
	switch m := g.d.Enforcement.Mode; m {
	case "", deployment.Observe:
		return nil
	case deployment.Enforce:
	default:
		return fmt.Errorf("enforcement.mode: %q is neither observe nor enforce", m)
	}
	return g.checkEnforcement()
}

func (g *generator) checkEnforcement() error {
	e := g.d.Enforcement
	switch {
	case e.OnViolation != "" && e.OnViolation != deployment.Kill && e.OnViolation != deployment.Deny:
		return fmt.Errorf("enforcement.onViolation: %q is neither kill nor deny", e.OnViolation)
	case g.o.SyscallHooks:
		return errors.New("enforcement.mode: enforce by hooks at system calls can be walked round by a symlink, a relative path or io_uring; they are for observing only")
	case g.release < releaseTask:
		return fmt.Errorf("enforcement.mode: enforce needs Tetragon %s or newer; %s can neither see who connects to a runtime's socket nor tell containers by their cgroup",
			releaseTask, g.release)
	case g.o.NoLSM && e.OnViolation == deployment.Deny:
		return errors.New("enforcement.onViolation: deny needs the BPF LSM")
	}
	for _, p := range e.Policies {
		if p == deployment.PolicyCognitive || p == deployment.PolicyCode {
			return fmt.Errorf("enforcement.policies: %s only reports: no hook was seen to deny a write to a file that is open", p)
		}
	}
	if g.o.Extra && g.d.Enforces(deployment.PolicyCognitive) {
		g.note("%s and %s only report: no hook was seen to deny a write to a file that is open.", deployment.PolicyCognitive, deployment.PolicyCode)
	}
	return nil
}

func (g *generator) enforcing() bool { return g.d.Enforcement.Mode == deployment.Enforce }

// note keeps a sentence, once.
func (g *generator) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(g.notes, n) {
		g.notes = append(g.notes, n)
	}
}
