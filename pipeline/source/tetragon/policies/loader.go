package policies

import (
	"context"
	"errors"
	"fmt"
	"time"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/grpc/status"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// pollEvery is the time between two looks at a policy that is being loaded.
	pollEvery = 100 * time.Millisecond
	// cleanTime is what taking a failed version back may need, even when the time
	// for the change is over.
	cleanTime = 5 * time.Second
)

// Loader changes the policies of one Tetragon. Two at a time would undo each
// other's work.
type Loader struct {
	client api.FineGuidanceSensorsClient
	// DryRun changes nothing, and says what would be changed.
	DryRun bool
	// Timeout bounds loading one policy, and removing its other versions. 0: none.
	Timeout time.Duration
}

// New makes a Loader that calls client.
func New(client api.FineGuidanceSensorsClient) *Loader { return &Loader{client: client} }

// Change is what was done, or in a dry run would be, about one policy.
type Change struct {
	Policy    string `json:"policy"`
	Namespace string `json:"namespace,omitzero"`
	// Result is one of the constants below.
	Result string `json:"result"`
	// Name is what it is loaded as. Empty: it is not.
	Name string `json:"name,omitzero"`
	// Removed are the versions that are loaded no more.
	Removed []string `json:"removed,omitzero"`
	// Error says why not, or which old version stays.
	Error string `json:"error,omitzero"`
}

// The results of a [Change].
const (
	Added     = "added"
	Unchanged = "unchanged"
	Removed   = "removed"
	Failed    = "failed" // what was loaded before stays as it was
	Half      = "half"   // the new one is in force, and an old one as well
	Left      = "left"   // is loaded, and not among what was applied
)

// List gives g0's policies, loaded or not, sorted by namespace and name.
func (l *Loader) List(ctx context.Context) ([]Status, error) {
	resp, err := l.client.ListTracingPolicies(ctx, &api.ListTracingPoliciesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list policies: %w", said(err))
	}
	return ours(resp.GetPolicies()), nil
}

// Apply loads a policy under the name of its version, waits until it is in
// force, and then removes the other versions of it. When it cannot be loaded the
// others stay. Applying it again changes nothing, or ends what was cut short.
func (l *Loader) Apply(ctx context.Context, p Policy) Change {
	return l.ApplyAll(ctx, []Policy{p}, false)[0]
}

// load brings a version in force, beside the others that are.
func (l *Loader) load(ctx context.Context, p Policy) Change {
	c := Change{Policy: p.Name, Namespace: p.Namespace, Result: Unchanged}
	loaded, err := l.List(ctx)
	if err != nil {
		return c.failed(err)
	}
	at := p.in(loaded)
	switch {
	case at < 0 || loaded[at].State == LoadError:
		// A name that failed to load may be used again.
		if c.Result = Added; !l.DryRun {
			if err := l.add(ctx, p); err != nil {
				return c.failed(err)
			}
		}
	default:
		if err := inForce(loaded[at], p); err != nil {
			return c.failed(err)
		}
	}
	c.Name = p.Version
	return c
}

// settle removes the other versions of what was loaded; keep names what they
// have to stay for.
func (l *Loader) settle(ctx context.Context, p Policy, c Change, keep string) Change {
	loaded, err := l.List(ctx)
	if err != nil {
		c.Result, c.Error = Half, err.Error()
		return c
	}
	switch at := p.in(loaded); {
	case l.DryRun:
	case at < 0:
		c.Name = ""
		return c.failed(fmt.Errorf("%s is no longer listed: did Tetragon restart?", p.Version))
	default:
		if err := inForce(loaded[at], p); err != nil {
			return c.failed(err)
		}
	}
	for _, s := range loaded {
		if s.Policy != p.Name || s.Namespace != p.Namespace || s.Name == p.Version {
			continue
		}
		err := error(nil)
		if keep != "" {
			err = fmt.Errorf("%s stays, since %s failed", s.Name, keep)
		} else {
			err = l.delete(ctx, s)
		}
		if err != nil {
			c.Result, c.Error = Half, err.Error()
			continue
		}
		c.Removed = append(c.Removed, s.Name)
	}
	return c
}

// Remove deletes every version of a policy, or the one version that is named. It
// need not be loaded.
func (l *Loader) Remove(ctx context.Context, name string) Change {
	c := Change{Policy: name, Result: Unchanged}
	loaded, err := l.List(ctx)
	if err != nil {
		return c.failed(err)
	}
	var errs []error
	for _, s := range loaded {
		if s.Policy != name && s.Name != name {
			continue
		}
		if err := l.delete(ctx, s); err != nil {
			errs = append(errs, err)
			continue
		}
		c.Result, c.Removed = Removed, append(c.Removed, s.Name)
	}
	if len(errs) > 0 {
		return c.failed(errors.Join(errs...))
	}
	return c
}

// add loads a version and waits until it is in force; else it takes it back,
// since Tetragon keeps what failed in its list.
func (l *Loader) add(ctx context.Context, p Policy) error {
	_, err := l.client.AddTracingPolicy(ctx, &api.AddTracingPolicyRequest{Yaml: p.YAML})
	if err == nil {
		err = l.await(ctx, p)
	} else {
		err = said(err)
	}
	if err == nil {
		return nil
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	loaded, listErr := l.List(clean)
	if listErr != nil {
		return errors.Join(err, listErr)
	}
	for _, s := range loaded {
		if s.Name == p.Version && s.Namespace == p.Namespace {
			return errors.Join(err, l.delete(clean, s))
		}
	}
	return err
}

// await looks until the version is in force or has failed.
func (l *Loader) await(ctx context.Context, p Policy) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		loaded, err := l.List(ctx)
		if err != nil {
			return err
		}
		at := p.in(loaded)
		if at < 0 {
			return fmt.Errorf("%s was taken and is not listed", p.Version)
		}
		if s := loaded[at]; s.State != Loading {
			return inForce(s, p)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is still being loaded: %w", p.Version, ctx.Err())
		case <-tick.C:
		}
	}
}

// inForce says what a listed version lacks. A Tetragon that tells no modes is
// taken at its word.
func inForce(s Status, p Policy) error {
	switch {
	case s.State != Enabled && s.Error != "":
		return fmt.Errorf("%s: %s: %s", s.Name, s.State, s.Error)
	case s.State != Enabled:
		return fmt.Errorf("%s: %s", s.Name, s.State)
	case p.Enforces && (s.Mode == Monitor || s.Mode == Observe):
		return fmt.Errorf("%s enforces, but Tetragon has it in mode %s", s.Name, s.Mode)
	case p.Shadow && s.Mode == Enforce:
		return fmt.Errorf("%s only watches, but Tetragon has it in mode %s", s.Name, s.Mode)
	}
	return nil
}

func (l *Loader) delete(ctx context.Context, s Status) error {
	if l.DryRun {
		return nil
	}
	_, err := l.client.DeleteTracingPolicy(ctx, &api.DeleteTracingPolicyRequest{Name: s.Name, Namespace: s.Namespace})
	if err != nil {
		return fmt.Errorf("delete %s: %w", s.Name, said(err))
	}
	return nil
}

func (c Change) failed(err error) Change {
	c.Result, c.Error = Failed, err.Error()
	return c
}

// said gives what Tetragon says in an error of gRPC, cleaned.
func said(err error) error {
	return fmt.Errorf("%s: %s", status.Code(err), event.Clean(status.Convert(err).Message(), maxDetail))
}
