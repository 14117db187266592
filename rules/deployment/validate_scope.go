package deployment

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// shared are cgroups that hold more than anybody's agents: the roots of systemd's
// trees and the parents that Docker, Podman and Kubernetes put everything into.
var shared = []string{
	".slice", "-.slice", "system.slice", "user.slice", "machine.slice", "init.scope", "app.slice", "session.slice", "background.slice",
	"docker", "buildkit", "system.slice:docker",
	"libpod_parent", "machine", "kubepods", "kubepods.slice", "kubepods-burstable.slice", "kubepods-besteffort.slice",
}

// enforceable are the scopes that can hold nothing but agents.
var enforceable = []string{ScopeCgroupParent, ScopeContainers, ScopeKubernetes}

const maxCgroup = 127 // Tetragon compares 128 bytes with the NUL

func (at checker) scope(d *Deployment) {
	s := d.Scope
	at.oneOf("scope.kind", s.Kind, "", ScopeCgroupParent, ScopeContainers, ScopeKubernetes, ScopeBinaries, ScopeAllContainers, ScopeHost)
	if s.CgroupParent != "" {
		at.err("scope.cgroupParent", CheckCgroup(s.CgroupParent))
	}
	if s.Namespace != "" && !isLabel(s.Namespace) {
		at.Refuse("scope.namespace", "%+q is no namespace of Kubernetes", cut(s.Namespace))
	}
	at.podLabels(s.PodLabels)
	at.list("scope.binaries", s.Binaries, CheckPath)
	if s.Kind == "" && s.CgroupParent != "" && (s.Namespace != "" || len(s.PodLabels) > 0) {
		at.Refuse("scope.kind", "is missing: there are both a cgroup parent and pods")
	}
	switch needs := fmt.Sprintf("%s needs", s.Kind); {
	case s.Kind == ScopeCgroupParent && s.CgroupParent == "":
		at.Refuse("scope.cgroupParent", "%s it", needs)
	case s.Kind == ScopeKubernetes && s.Namespace == "" && len(s.PodLabels) == 0:
		at.Refuse("scope.kind", "%s namespace or podLabels", needs)
	case s.Kind == ScopeContainers && len(d.ContainerIDs()) == 0:
		at.Refuse("scope.kind", "%s at least one container with an id", needs)
	case s.Kind == ScopeBinaries && len(s.Binaries) == 0:
		at.Refuse("scope.binaries", "%s it", needs)
	}
}

// CheckCgroup refuses what is no name of a cgroup that could hold agents and nothing
// else.
func CheckCgroup(name string) error {
	switch {
	case len(name) > maxCgroup || !isWord(name, "._-@:"):
		return fmt.Errorf("%+q is no name of a cgroup: a letter or digit, then letters, digits and . _ - @ :, without the path to it", cut(name))
	case slices.Contains(shared, name):
		return fmt.Errorf("%s holds more than agents", name)
	}
	return nil
}

// podLabels notes what Kubernetes would refuse: a name of up to 63 characters, with
// a DNS name and a slash before it or not, and a value of up to 63.
func (at checker) podLabels(labels map[string]string) {
	if at.many("scope.podLabels", len(labels), MaxList) {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		value := labels[key]
		domain, name, split := strings.Cut(key, "/")
		if !split {
			domain, name = "", key
		}
		if !isQualified(name) || split && (len(domain) > maxName || !isDNS(domain)) || value != "" && !isQualified(value) {
			at.Refuse("scope.podLabels", "%+q: %+q is no label of Kubernetes", cut(key), cut(value))
		}
	}
}

// isQualified: letters, digits, '-', '_' and '.', the first and the last a letter
// or digit.
func isQualified(s string) bool {
	return len(s) <= 63 && isWord(s, "-_.") && !strings.ContainsAny(s[len(s)-1:], "-_.")
}

// isLabel is RFC 1123's label in lower case.
func isLabel(s string) bool {
	return isQualified(s) && !strings.ContainsAny(s, "_.") && s == strings.ToLower(s)
}

func isDNS(s string) bool {
	return !slices.ContainsFunc(strings.Split(s, "."), func(l string) bool { return !isLabel(l) })
}

func (at checker) enforcement(d *Deployment) {
	e := d.Enforcement
	at.oneOf("enforcement.mode", e.Mode, Observe, Enforce)
	at.oneOf("enforcement.onViolation", e.OnViolation, Kill, Deny)
	if !at.many("enforcement.policies", len(e.Policies), MaxList) {
		for i, name := range e.Policies {
			at.oneOf(item("enforcement.policies", i), name, slices.Concat(Policies, ExtraPolicies, []string{All})...)
		}
	}
	if e.Mode != Enforce {
		if len(e.Policies) > 0 {
			at.Refuse("enforcement.policies", "needs mode enforce")
		}
		return
	}
	if kind := d.ScopeKind(); !slices.Contains(enforceable, kind) {
		at.Refuse("enforcement.mode", "enforce needs a scope that holds nothing but agents (%s); this is %s",
			strings.Join(enforceable, ", "), kind)
	}
	at.enforcedEgress(d)
}

// enforcedEgress notes an allow list that would stop everything or nothing. One of
// domains only is judged once they are resolved: [Deployment.Resolve].
func (at checker) enforcedEgress(d *Deployment) {
	if len(d.Egress.Allow) == 0 {
		at.Refuse("egress.allow", "is empty: enforcing it would stop every connection of every agent")
		return
	}
	if d.Enforcement.AllowAny {
		return
	}
	for _, p := range d.Destinations().Any {
		if p.Bits() == 0 {
			at.Refuse("egress.allow", "comes to %s, which holds every address: enforcing it means nothing without enforcement.allowAny", p)
		}
	}
}
