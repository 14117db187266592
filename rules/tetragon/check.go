package tetragon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"gopkg.in/yaml.v3"
)

// Check says why Tetragon of a release would not load the file, or load it and
// have it do nothing or too much, by what was seen on the real program: hooks,
// arguments, operators, limits. It knows what policies of ours need, and refuses
// the rest too: nil is a promise, an error may be lack of knowledge.
func Check(text []byte, release string) error {
	r, err := parseRelease(release)
	if err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var doc document
	if err := dec.Decode(&doc); err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("a second document: Tetragon loads only the first one of a file")
	}
	return doc.check(r)
}

// place is a hook of a policy, whatever kind it is of.
type place struct {
	name       string
	lsm        bool
	args, data []argument
	selectors  []selector
	message    string
	tags       []string
}

func (d *document) places() []place {
	var out []place
	for _, k := range d.Spec.KProbes {
		out = append(out, place{k.Call, false, k.Args, k.Data, k.Selectors, k.Message, k.Tags})
	}
	for _, h := range d.Spec.LSMHooks {
		out = append(out, place{h.Hook, true, h.Args, nil, h.Selectors, h.Message, h.Tags})
	}
	for _, t := range d.Spec.Tracepoints {
		out = append(out, place{t.Subsystem + "/" + t.Event, false, t.Args, nil, t.Selectors, t.Message, t.Tags})
	}
	return out
}

func (d *document) check(r release) error {
	switch {
	case d.APIVersion != "cilium.io/v1alpha1":
		return fmt.Errorf("apiVersion %q is not cilium.io/v1alpha1", d.APIVersion)
	case d.Kind == "TracingPolicyNamespaced" && d.Metadata.Namespace == "" || d.Kind != "TracingPolicyNamespaced" && d.Kind != "TracingPolicy":
		return fmt.Errorf("kind %q with namespace %q", d.Kind, d.Metadata.Namespace)
	case d.Metadata.Name == "":
		return errors.New("metadata.name is empty")
	}
	for _, k := range d.Spec.KProbes {
		if k.Ignore != nil && r < releaseIgnore {
			return fmt.Errorf("%s: %s has no ignore.callNotFound", k.Call, r)
		}
	}
	places := d.places()
	if len(places) == 0 {
		return errors.New("there is no hook in it")
	}
	var whole filters
	for _, p := range places {
		own, err := p.check(r, d.Spec.PodSelector != nil)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		whole.addresses += own.addresses
		if !p.lsm {
			whole.equal, whole.prefix, whole.postfix = whole.equal+own.equal, whole.prefix+own.prefix, whole.postfix+own.postfix
		}
		if !own.fits() || !whole.fits() || whole.addresses > maxAddressFilters {
			return fmt.Errorf("%s: more filters than %d of Equal, Prefix or Postfix each, or %d of networks, were refused", p.name, maxStringFilters, maxAddressFilters)
		}
	}
	return nil
}

func (p *place) check(r release, pods bool) (filters, error) {
	var all filters
	switch {
	case len(p.selectors) == 0:
		return all, errors.New("there is no selector: every call would fit")
	case len(p.selectors) > maxSelectors:
		return all, fmt.Errorf("%d selectors, %d are taken", len(p.selectors), maxSelectors)
	case len(p.tags) > maxTags || len(p.message) > maxMessage:
		return all, errors.New("too many tags, or a message that would be cut")
	}
	for _, a := range slices.Concat(p.args, p.data) {
		if err := p.argument(a, r); err != nil {
			return all, err
		}
	}
	for i, s := range p.selectors {
		if err := p.selector(s, pods); err != nil {
			return all, fmt.Errorf("selector %d: %w", i, err)
		}
		all.add(s.MatchArgs)
		all.add(s.MatchData)
	}
	return all, nil
}
