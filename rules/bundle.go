package rules

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/auditd"
	"github.com/guard0-ai/g0-sidecar/rules/compose"
	"github.com/guard0-ai/g0-sidecar/rules/egress"
	"github.com/guard0-ai/g0-sidecar/rules/falco"
	"github.com/guard0-ai/g0-sidecar/rules/output"
)

// Tools that files are generated for, as Options.Only names them.
const (
	ToolTetragon = "tetragon"
	ToolFalco    = "falco"
	ToolAuditd   = "auditd"
	ToolEgress   = "egress"
	ToolCompose  = "compose"
)

// Tools lists them in the order in which they are shown.
var Tools = []string{ToolTetragon, ToolFalco, ToolAuditd, ToolEgress, ToolCompose}

// Options of [Generate].
type Options struct {
	// Deployment is required, and is only read.
	Deployment *Deployment
	// Version of g0, for the first line of each file.
	Version string
	// TetragonRelease, Kernel, NoLSM, SyscallHooks, Extra and Shadow are those of
	// [TetragonOptions].
	TetragonRelease, Kernel            string
	NoLSM, SyscallHooks, Extra, Shadow bool
	// Only names the tools to generate for. Empty: all.
	Only []string
}

// Bundle is everything that was generated for one deployment. What was not asked
// for is zero.
type Bundle struct {
	Tetragon TetragonRules
	// Falco needs Falco's container plugin, FalcoCore does not.
	Falco, FalcoCore FalcoRules
	Auditd           AuditdRules
	Egress           EgressRules
	Compose          compose.Files
	// Left are tools that were asked for and have nothing to be generated from.
	Left []Left
}

// Left is a tool without files, and why.
type Left struct {
	Tool string
	Err  error
}

// Generate writes the files of all tools, or of none: an error of one is an error
// of all. Only where the deployment lacks what a tool goes by (networks, for
// egress) is that tool left out, and said.
func Generate(o Options) (Bundle, error) {
	for _, tool := range o.Only {
		if !slices.Contains(Tools, tool) {
			return Bundle{}, fmt.Errorf("generate rules: unknown tool %q; known are %s", tool, strings.Join(Tools, ", "))
		}
	}
	var b Bundle
	for _, g := range []struct {
		tool string
		run  func(*Bundle, Options) error
	}{
		{ToolTetragon, (*Bundle).tetragon},
		{ToolFalco, (*Bundle).falco},
		{ToolAuditd, (*Bundle).auditd},
		{ToolEgress, (*Bundle).egress},
		{ToolCompose, (*Bundle).compose},
	} {
		if len(o.Only) > 0 && !slices.Contains(o.Only, g.tool) {
			continue
		}
		err := g.run(&b, o)
		if errors.Is(err, egress.ErrNoNetwork) {
			b.Left = append(b.Left, Left{g.tool, err})
		} else if err != nil {
			return Bundle{}, err
		}
	}
	return b, nil
}

func (b *Bundle) tetragon(o Options) (err error) {
	b.Tetragon, err = GenerateTetragonRules(TetragonOptions{
		Deployment: o.Deployment, Version: o.Version, Release: o.TetragonRelease,
		Kernel: o.Kernel, NoLSM: o.NoLSM, SyscallHooks: o.SyscallHooks, Extra: o.Extra, Shadow: o.Shadow,
	})
	return err
}

func (b *Bundle) falco(o Options) (err error) {
	if b.Falco, err = falco.Generate(FalcoOptions{Deployment: o.Deployment, Version: o.Version}); err != nil {
		return err
	}
	b.FalcoCore, err = falco.Generate(FalcoOptions{Deployment: o.Deployment, Version: o.Version, NoContainerPlugin: true})
	return err
}

func (b *Bundle) auditd(o Options) (err error) {
	b.Auditd, err = auditd.Generate(AuditdOptions{Deployment: o.Deployment, Version: o.Version})
	return err
}

func (b *Bundle) egress(o Options) (err error) {
	b.Egress, err = egress.Generate(EgressOptions{Deployment: o.Deployment, Version: o.Version})
	return err
}

func (b *Bundle) compose(o Options) (err error) {
	b.Compose, err = compose.Generate(compose.Options{
		Deployment: o.Deployment, Version: o.Version, TetragonRelease: o.TetragonRelease, Policies: b.policies(),
	})
	return err
}

// policies names those that were generated for Tetragon.
func (b *Bundle) policies() []string {
	var names []string
	for _, p := range b.Tetragon.Policies {
		names = append(names, p.Name)
	}
	return names
}

const (
	readable   fs.FileMode = 0o644
	executable fs.FileMode = 0o755
)

// Files gives the bundle as files, with the names that users know.
func (b *Bundle) Files() []output.File {
	var files []output.File
	add := func(name, text string, mode fs.FileMode) {
		if text != "" {
			files = append(files, output.File{Name: name, Mode: mode, Content: []byte(text)})
		}
	}
	for _, p := range b.Tetragon.Policies {
		add("tetragon-policies/"+p.Name+".yaml", p.YAML, readable)
	}
	add("tetragon-policies.yaml", b.Tetragon.YAML, readable)
	add("g0-openclaw-falco.yaml", b.Falco.YAML, readable)
	add("g0-openclaw-falco-core.yaml", b.FalcoCore.YAML, readable)
	add("g0-openclaw.rules", b.Auditd.Text, readable)
	add("g0-openclaw-egress.sh", b.Egress.Script, executable)
	add("g0-openclaw-egress.iptables", b.Egress.IPTables4, readable)
	add("g0-openclaw-egress.ip6tables", b.Egress.IPTables6, readable)
	add("g0-openclaw-egress.nft", b.Egress.NFTables, readable)
	add("docker-compose.tetragon.yml", b.Compose.Tetragon, readable)
	add("docker-compose.falco.yml", b.Compose.Falco, readable)
	add("docker-compose.falco-direct.yml", b.Compose.FalcoDirect, readable)
	add("docker-compose.g0.yml", b.Compose.G0, readable)
	add("g0-pipeline.yaml", b.Compose.Pipeline, readable)
	return files
}

// Notes gives what the tools' files leave out or cannot see, by tool.
func (b *Bundle) Notes() map[string][]string {
	notes := map[string][]string{}
	for tool, said := range map[string][]string{
		ToolTetragon: b.Tetragon.Notes, ToolFalco: b.Falco.Notes, ToolAuditd: b.Auditd.Notes,
		ToolEgress: b.Egress.Notes, ToolCompose: b.Compose.Notes,
	} {
		if len(said) > 0 {
			notes[tool] = said
		}
	}
	return notes
}
