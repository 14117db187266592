package deployment

import "slices"

// Enforces says whether the policy of that name acts, and not only reports.
func (d *Deployment) Enforces(policy string) bool {
	if d.Enforcement.Mode != Enforce {
		return false
	}
	return slices.Contains(critical, policy) || slices.Contains(d.Enforcement.Policies, policy) ||
		slices.Contains(d.Enforcement.Policies, All)
}

// ScopeKind gives Scope.Kind, or where it is empty what the description tells:
// a cgroup parent, pods, containers with an id, programs, all containers.
func (d *Deployment) ScopeKind() string {
	s := d.Scope
	switch {
	case s.Kind != "":
		return s.Kind
	case s.CgroupParent != "":
		return ScopeCgroupParent
	case s.Namespace != "" || len(s.PodLabels) > 0:
		return ScopeKubernetes
	case len(d.ContainerIDs()) > 0:
		return ScopeContainers
	case len(s.Binaries) > 0:
		return ScopeBinaries
	}
	return ScopeAllContainers
}

// ContainerIDs gives the ids of all containers of agents and of the gateway that
// have one, sorted.
func (d *Deployment) ContainerIDs() []string {
	var ids []string
	for _, a := range d.Agents {
		for _, c := range a.Containers {
			ids = append(ids, c.ID)
		}
	}
	ids = append(ids, d.Gateway.Container.ID)
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == "" })
}
