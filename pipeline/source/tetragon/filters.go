package tetragon

import (
	"errors"
	"fmt"
	"regexp"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"github.com/go-json-experiment/json"
	"google.golang.org/protobuf/encoding/protojson"
	"gopkg.in/yaml.v3"
)

// ParseFilters reads a list of Tetragon's filters from YAML or JSON, with the
// names that Tetragon's own configuration uses:
//
//   - event_set: [PROCESS_EXEC, PROCESS_KPROBE]
//   - policy_names: [g0-openclaw-egress]
//
// An event passes a list if it matches one filter of it, and a filter if it
// matches all that the filter names. Empty text is an empty list. Unknown and
// duplicate keys are errors.
func ParseFilters(text string) ([]*api.Filter, error) {
	var items []map[string]any
	if err := yaml.Unmarshal([]byte(text), &items); err != nil {
		return nil, fmt.Errorf("read filters: %w", err)
	}
	filters := make([]*api.Filter, len(items))
	for i, item := range items {
		raw, err := json.Marshal(item)
		if err != nil {
			return nil, fmt.Errorf("read filter %d: %w", i+1, err)
		}
		filters[i] = &api.Filter{}
		if err := protojson.Unmarshal(raw, filters[i]); err != nil {
			return nil, fmt.Errorf("read filter %d: %w", i+1, err)
		}
	}
	return filters, nil
}

// validateFilters compiles the regular expressions, since Tetragon would refuse
// the whole subscription for one of them; it uses the same syntax.
func validateFilters(key string, filters []*api.Filter) error {
	var errs []error
	for i, f := range filters {
		for _, list := range []struct {
			name  string
			exprs []string
		}{
			{"binary_regex", f.GetBinaryRegex()},
			{"parent_binary_regex", f.GetParentBinaryRegex()},
			{"ancestor_binary_regex", f.GetAncestorBinaryRegex()},
			{"arguments_regex", f.GetArgumentsRegex()},
			{"parent_arguments_regex", f.GetParentArgumentsRegex()},
			{"pod_regex", f.GetPodRegex()},
			{"container_id", f.GetContainerId()},
			{"container_name_regex", f.GetContainerNameRegex()},
			{"namespace_regex", f.GetNamespaceRegex()},
		} {
			for _, expr := range list.exprs {
				if _, err := regexp.Compile(expr); err != nil {
					errs = append(errs, fmt.Errorf("%s[%d].%s: %w", key, i, list.name, err))
				}
			}
		}
	}
	return errors.Join(errs...)
}
