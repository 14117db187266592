// Package compose writes the Docker Compose files that run Tetragon, Falco and
// g0 beside a deployment of agents.
package compose

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// The images, by the tag of a release. Falco 0.44 is the last before the 0.45
// that docs/generators.md was measured with; falcosidekick 2.34.1 is of June 2026.
const (
	tetragonImage    = "quay.io/cilium/tetragon"
	falcoImage       = "falcosecurity/falco:0.44.1"
	sidekickImage    = "falcosecurity/falcosidekick:2.34.1"
	sidecarImage     = "ghcr.io/guard0-ai/g0-sidecar"
	defaultRelease   = "v1.7.0"
	maxTag           = 128 // of the distribution specification
	hostName         = "host.docker.internal"
	receiverPort     = "6040"
	tetragonRun      = "/var/run/tetragon"
	tetragonSocket   = "unix://" + tetragonRun + "/tetragon.sock"
	pipelineFile     = "g0-pipeline.yaml"
	falcoRulesFile   = "g0-openclaw-falco.yaml"
	falcoRulesInside = "/etc/falco/rules.d/g0-openclaw.yaml"
)

// Options of [Generate].
type Options struct {
	// Deployment is valid, or what is wrong with it is refused by name. It is only
	// read.
	Deployment *deployment.Deployment
	// Version of g0, for the headers and the tag of its image.
	Version string
	// TetragonRelease is the tag of Tetragon's image. Empty: v1.7.0.
	TetragonRelease string
	// Policies that were generated for Tetragon, by name, for g0 to expect. Empty:
	// the six.
	Policies []string
}

// Files are whole files, each with the provenance in its first line.
type Files struct {
	// Tetragon, Falco (with falcosidekick), FalcoDirect (Falco posts to g0 itself)
	// and G0 are Compose files.
	Tetragon, Falco, FalcoDirect, G0 string
	// Pipeline is the pipeline that G0 mounts as g0-pipeline.yaml.
	Pipeline string
	// Notes say what the files do not do by themselves, one sentence each.
	Notes []string
}

// tag is what an image can be tagged with.
var tag = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// Generate writes the files. It needs neither network nor disk, and the same
// options give the same bytes. An error names the value that no file can hold.
func Generate(opt Options) (Files, error) {
	if opt.Deployment == nil {
		return Files{}, errors.New("compose: there is no deployment")
	}
	release := opt.TetragonRelease
	if release == "" {
		release = defaultRelease
	}
	if !tag.MatchString(release) || len(release) > maxTag {
		return Files{}, fmt.Errorf("compose: Tetragon's release %q is no tag of an image", release)
	}
	first := opt.Deployment.Provenance(opt.Version)
	version := imageTag(opt.Version)
	pipeline, err := pipelineOf(opt, first)
	if err != nil {
		return Files{}, fmt.Errorf("compose: %s: %w", pipelineFile, err)
	}
	out := Files{Pipeline: pipeline, Notes: notes(version, opt.Deployment.Scope.CgroupParent)}
	for _, f := range []struct {
		to   *string
		file file
	}{
		{&out.Tetragon, tetragon(release)},
		{&out.Falco, falco()},
		{&out.FalcoDirect, falcoDirect()},
		{&out.G0, sidecar(version)},
	} {
		if *f.to, err = f.file.text(first); err != nil {
			return Files{}, fmt.Errorf("compose: %s: %w", f.file.Name, err)
		}
	}
	return out, nil
}

// imageTag makes a tag of a version, in which a build may have signs that no tag
// has.
func imageTag(version string) string {
	out := strings.Map(func(r rune) rune {
		if tag.MatchString("a" + string(r)) {
			return r
		}
		return '-'
	}, version)
	out = strings.Trim(out, "-.")
	if out == "" {
		return "dev"
	}
	return out[:min(len(out), maxTag)]
}

func notes(version, cgroupParent string) []string {
	under := "a cgroup of their own"
	if cgroupParent != "" {
		under = strconv.Quote(cgroupParent)
	}
	return []string{
		"The image " + sidecarImage + ":" + version + " is built by deploy/Dockerfile; its folder " + stateDir + " belongs to user " + sidecarUser + ".",
		"Tetragon reads its folder of policies only when it starts: `g0 policies apply` changes them while it runs.",
		"docker-compose.g0.yml does not mount Docker's socket, which is root on the machine: without it g0 knows containers by their ids, and not by names and labels.",
		"Agents' containers come under " + under + " by `cgroup_parent` in their own Compose files, or by cgroup-parent in dockerd's daemon.json for all that it starts.",
		"falcosidekick cannot send a token with a comma or a colon in it, and a URL cannot hold one with other signs than letters, digits, - and _.",
	}
}
