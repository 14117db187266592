package tetragon

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// plan is one policy before it is put into files.
type plan struct {
	name string
	// about says in the header what is watched and how it can be walked round.
	about []string
	tags  []string
	act   []watchers // what is denied or killed
	see   []watchers // what is only reported
}

// Suffixes of files that are apart from the policy's first one.
const (
	suffixTruncate = "-truncate" // a hook that not every kernel has
	suffixObserve  = "-observe"  // what an enforcing policy only reports
)

// write puts a plan into as few files as Tetragon loads.
func (g *generator) write(p plan) error {
	act, truncate := g.apart(p.act)
	enforced := "Enforces: " + g.enforces()
	if err := g.files(p.name, p, pack(act, g.form()), enforced); err != nil {
		return err
	}
	apart := "Enforces: " + g.enforces() + " Linux before 6.2 has no such hook; there path_truncate sees it all."
	if err := g.files(p.name+suffixTruncate, p, pack(g.present(truncate), g.form()), apart); err != nil {
		return err
	}
	name := p.name
	if len(p.act) > 0 {
		name += suffixObserve
	}
	return g.files(name, p, g.observers(name, p.see), "Observes: what it finds is reported, nothing is stopped.")
}

// observers packs what only reports. One file is worth more there than sparing
// the reports about other containers.
func (g *generator) observers(name string, see []watchers) []*file {
	see = g.known(see)
	files := pack(see, report)
	if len(files) < 2 {
		return files
	}
	if len(see) == 1 && slices.ContainsFunc(see[0].scope, func(p part) bool { return p.resolve != "" }) && sameScope(see[0].scope, g.all) {
		if wide := pack([]watchers{{see[0].watches, anyContainer}}, report); len(wide) == 1 {
			g.note("%s reports acts of every container: one file can't hold it with the cgroups.", name)
			return wide
		}
	}
	return files
}

func sameScope(a, b scope) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}

// known leaves out what the release can't express.
func (g *generator) known(see []watchers) []watchers {
	out := slices.Clone(see)
	for i := range out {
		out[i].watches = slices.DeleteFunc(slices.Clone(out[i].watches), func(w watch) bool {
			if w.hook.missing && g.release < releaseIgnore {
				g.note("Tetragon %s can't pass over a hook that a kernel lacks (%s can): %s is left out.", g.release, releaseIgnore, w.hook.call)
				return true
			}
			if first := w.hook.args[0]; first.since() > g.release {
				g.note("Tetragon %s can't compare what %s is called with (%s can): it is left out.", g.release, w.hook.call, first.since())
				return true
			}
			return false
		})
	}
	return out
}

// apart gives what has to be in a file of its own, since a kernel without the
// hook refuses all that is with it.
func (g *generator) apart(act []watchers) (with, without []watchers) {
	for _, a := range act {
		missing := func(w watch) bool { return w.hook.missing && !g.o.NoLSM }
		with = append(with, watchers{slices.DeleteFunc(slices.Clone(a.watches), missing), a.scope})
		without = append(without, watchers{slices.DeleteFunc(slices.Clone(a.watches), func(w watch) bool { return !missing(w) }), a.scope})
	}
	return with, without
}

// present gives nothing where the kernel is not known to have the hooks that
// are apart.
func (g *generator) present(act []watchers) []watchers {
	if g.kernel >= kernelFileTruncate {
		return act
	}
	if g.kernel == 0 && slices.ContainsFunc(act, func(w watchers) bool { return len(w.watches) > 0 }) {
		g.note("What empties an open log is not denied: Linux before %s has no hook for it, and the kernel is not known.", kernelFileTruncate)
	}
	return nil
}

func (g *generator) form() form {
	switch {
	case g.o.NoLSM:
		return signal
	case g.d.Enforcement.OnViolation == deployment.Deny:
		return deny
	}
	return denyKill
}

func (g *generator) enforces() string {
	switch {
	case g.o.NoLSM:
		return "the process is killed AFTER the act: at a kprobe the handshake of a connection goes out, a datagram is sent, a deleted log is gone. Only the BPF LSM denies."
	case g.d.Enforcement.OnViolation == deployment.Deny:
		return "the act is denied (EPERM), the process lives. Without bpf in /sys/kernel/security/lsm Tetragon refuses this file."
	}
	return "the act is denied (EPERM) and the process killed. Without bpf in /sys/kernel/security/lsm Tetragon refuses this file."
}

// files writes packed files: the first as name, more with a number.
func (g *generator) files(name string, p plan, files []*file, does string) error {
	if len(files) > 1 {
		g.note("%s takes %d files; each costs some 300 kB of kernel memory, and time at each call of its hooks.", name, len(files))
	}
	for i, f := range files {
		full := name
		if i > 0 {
			full += "-" + strconv.Itoa(i+1)
		}
		doc := document{APIVersion: "cilium.io/v1alpha1", Kind: "TracingPolicy", Metadata: metadata{Name: full}, Spec: f.spec(p.tags, g.release)}
		if g.pods {
			doc.Kind, doc.Metadata.Namespace = "TracingPolicyNamespaced", text(g.d.Scope.Namespace)
			doc.Spec.PodSelector = &podSelector{MatchLabels: map[text]text{}}
			for k, v := range g.d.Scope.PodLabels {
				doc.Spec.PodSelector.MatchLabels[text(k)] = text(v)
			}
		}
		header := append([]string{full + ": " + p.about[0]}, p.about[1:]...)
		header = append(header, g.aboutScope(f), does)
		if g.o.Shadow && f.form.actions[0].Action != "Post" {
			doc.Spec.Options = []option{{Name: "policy-mode", Value: "monitor"}}
			header = append(header, "Loaded in monitor mode: nobody is stopped, though the events say so.")
		}
		if err := g.add(doc, header); err != nil {
			return err
		}
	}
	return nil
}

func (g *generator) add(doc document, header []string) error {
	var b bytes.Buffer
	b.WriteString(deployment.Comment(g.provenance))
	for _, line := range header {
		b.WriteString(deployment.Comment(line))
	}
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("%s: %w", doc.Metadata.Name, err)
	}
	if err := enc.Close(); err != nil {
		return fmt.Errorf("%s: %w", doc.Metadata.Name, err)
	}
	if err := doc.check(g.release); err != nil {
		return fmt.Errorf("%s would not load or not fire: %w", doc.Metadata.Name, err)
	}
	g.policies = append(g.policies, Policy{Name: doc.Metadata.Name, YAML: b.String()})
	return nil
}

// usable refuses a value that no path or name in the kernel can have, or that is
// longer than Tetragon takes.
func usable(key, value string, most int) error {
	switch {
	case value == "":
		return fmt.Errorf("%s is empty", key)
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return fmt.Errorf("%s: %q is not UTF-8 without NUL", key, value)
	case len(value) > most:
		return fmt.Errorf("%s: %q is longer than the %d characters that Tetragon takes", key, value, most)
	}
	return nil
}
