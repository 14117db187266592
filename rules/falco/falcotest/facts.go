package falcotest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// Facts are what a real Falco said of itself.
type Facts struct {
	fields map[string]fact
	events []string
}

// fact is what is known of a field.
type fact struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	List     bool   `json:"list"`
	Argument *struct {
		Required bool `json:"required"`
	} `json:"argument"`
	// plugin: it comes from the container plugin.
	plugin bool
}

// pluginFields are those of the container plugin that the facts name, with their
// types; [] says that an argument is required.
var pluginFields = map[string]string{
	"container.id": "charbuf", "container.full_id": "charbuf", "container.name": "charbuf", "container.image": "charbuf",
	"container.image.repository": "charbuf", "container.image.tag": "charbuf", "container.image.digest": "charbuf",
	"container.image.id": "charbuf", "container.privileged": "bool", "container.type": "charbuf", "container.ip": "charbuf",
	"container.label": "charbuf[]", "container.labels": "charbuf", "container.host_network": "bool", "container.host_pid": "bool",
	"proc.is_container_healthcheck": "bool", "proc.is_container_liveness_probe": "bool", "proc.is_container_readiness_probe": "bool",
	"k8s.pod.name": "charbuf", "k8s.pod.label": "charbuf[]", "k8s.pod.labels": "charbuf", "k8s.ns.name": "charbuf",
}

// Load reads testdata/falco/fields.json and event-types.json.
func Load(fields, eventTypes []byte) (*Facts, error) {
	var list []fact
	if err := json.Unmarshal(fields, &list); err != nil {
		return nil, fmt.Errorf("read Falco's fields: %w", err)
	}
	var groups map[string]any // lists of names, and the schema's version
	if err := json.Unmarshal(eventTypes, &groups); err != nil {
		return nil, fmt.Errorf("read Falco's types of events: %w", err)
	}
	f := &Facts{fields: map[string]fact{}}
	for _, x := range list {
		f.fields[x.Name] = x
	}
	for name, typ := range pluginFields {
		x := fact{Name: name, plugin: true}
		x.Type, _ = strings.CutSuffix(typ, "[]")
		if strings.HasSuffix(typ, "[]") {
			x.Argument = &struct {
				Required bool `json:"required"`
			}{true}
		}
		f.fields[name] = x
	}
	for _, names := range groups {
		list, _ := names.([]any)
		for _, name := range list {
			f.events = append(f.events, fmt.Sprint(name))
		}
	}
	slices.Sort(f.events)
	return f, nil
}

// field finds one, and says what is wrong with how it is written. Arguments of
// events are written with a dot: evt.arg.name.
func (f *Facts) field(name string, hasArg bool) (fact, error) {
	if rest, ok := strings.CutPrefix(name, "evt.arg."); ok && rest != "" {
		if !slices.Contains(eventArguments, rest) {
			return fact{}, fmt.Errorf("unknown event argument %s", rest)
		}
		return f.fields["evt.arg"], nil
	}
	x, ok := f.fields[name]
	switch {
	case !ok:
		return x, fmt.Errorf("filter_check called with nonexistent field %s", name)
	case hasArg && x.Argument == nil:
		return x, fmt.Errorf("%s takes no argument", name)
	case !hasArg && x.Argument != nil && x.Argument.Required:
		return x, fmt.Errorf("%s needs an argument", name)
	}
	return x, nil
}

// eventArguments are those that were seen filled.
var eventArguments = []string{"addr", "flags", "name", "path"}
