package policies

import (
	"context"
	"regexp"
	"slices"
)

// part is the name of a policy that takes several files: NAME, NAME-2,
// NAME-truncate, NAME-observe-2.
var part = regexp.MustCompile(`^(.+?)(-truncate|-observe)?(-[0-9]+)?$`)

// family gives the name that the parts of a policy share.
func family(namespace, name string) string { return namespace + "/" + part.FindStringSubmatch(name)[1] }

// movers gives the name that those parts share between which something may move:
// NAME-truncate has a hook of its own, which not every kernel has.
func movers(namespace, name string) string {
	if m := part.FindStringSubmatch(name); m[2] == "-truncate" {
		return namespace + "/" + m[1] + m[2]
	}
	return family(namespace, name)
}

// ApplyAll loads all new versions first and then removes the old ones, so that
// what moves from one part of a policy to another is in force all the time. Where
// a part cannot be loaded, the others of its policy keep their older versions, but
// for NAME-truncate.
//
// whole says that all has every part of the policies in it, as a folder that was
// generated has. Parts that are loaded and not in it are then removed, and g0's
// other policies are told as [Left].
func (l *Loader) ApplyAll(ctx context.Context, all []Policy, whole bool) []Change {
	changes := make([]Change, len(all))
	failed := map[string]string{} // by movers
	each := func(change func(context.Context, int) Change) {
		for i, p := range all {
			if changes[i].Result == Failed {
				continue
			}
			ctx, cancel := l.bounded(ctx)
			if changes[i] = change(ctx, i); changes[i].Result == Failed {
				failed[movers(p.Namespace, p.Name)] = p.Name
			}
			cancel()
		}
	}
	each(func(ctx context.Context, i int) Change { return l.load(ctx, all[i]) })
	each(func(ctx context.Context, i int) Change {
		return l.settle(ctx, all[i], changes[i], failed[movers(all[i].Namespace, all[i].Name)])
	})
	if whole {
		changes = append(changes, l.others(ctx, all, failed)...)
	}
	return changes
}

// others removes the parts that applied policies have no more, and tells of what
// else is loaded.
func (l *Loader) others(ctx context.Context, all []Policy, failed map[string]string) []Change {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	loaded, err := l.List(ctx)
	if err != nil {
		return []Change{Change{Policy: Prefix + "*"}.failed(err)}
	}
	applied, families := map[string]bool{}, map[string]bool{}
	for _, p := range all {
		applied[p.Namespace+"/"+p.Name], families[family(p.Namespace, p.Name)] = true, true
	}
	var out []Change
	for _, s := range loaded {
		if applied[s.Namespace+"/"+s.Policy] {
			continue
		}
		c := Change{Policy: s.Policy, Namespace: s.Namespace, Result: Left, Name: s.Name}
		if families[family(s.Namespace, s.Policy)] && failed[movers(s.Namespace, s.Policy)] == "" {
			if err := l.delete(ctx, s); err != nil {
				c.Error = err.Error()
			} else {
				c.Result, c.Name, c.Removed = Removed, "", []string{s.Name}
			}
		}
		out = append(out, c)
	}
	return out
}

func (l *Loader) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, l.Timeout)
}

// in gives where the policy's version is in a list; -1: nowhere.
func (p Policy) in(loaded []Status) int {
	return slices.IndexFunc(loaded, func(s Status) bool { return s.Name == p.Version && s.Namespace == p.Namespace })
}
