package replay

import (
	"fmt"
	"slices"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/protobuf/proto"
)

// filter is as much of a request as a replay can obey: event_set and
// policy_names.
type filter struct{ allow, deny []*api.Filter }

// newFilter refuses what it would not obey, since a subscriber would take the
// events for the filtered ones.
func newFilter(req *api.GetEventsRequest) (filter, error) {
	if len(req.GetFieldFilters()) > 0 || req.GetAggregationOptions() != nil {
		return filter{}, fmt.Errorf("a replay has neither field filters nor aggregation")
	}
	for _, f := range slices.Concat(req.GetAllowList(), req.GetDenyList()) {
		rest := proto.CloneOf(f)
		rest.EventSet, rest.PolicyNames = nil, nil
		if proto.Size(rest) > 0 {
			return filter{}, fmt.Errorf("a replay filters by event_set and policy_names only, not by %v", rest)
		}
	}
	return filter{req.GetAllowList(), req.GetDenyList()}, nil
}

func (f filter) passes(r *record) bool {
	matches := func(f *api.Filter) bool {
		return (len(f.GetEventSet()) == 0 || slices.Contains(f.GetEventSet(), r.kind)) &&
			(len(f.GetPolicyNames()) == 0 || slices.Contains(f.GetPolicyNames(), r.policy))
	}
	return (len(f.allow) == 0 || slices.ContainsFunc(f.allow, matches)) && !slices.ContainsFunc(f.deny, matches)
}
