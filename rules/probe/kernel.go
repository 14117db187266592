package probe

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-iptables/iptables"
	"github.com/elastic/go-libaudit/v2"
	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/guard0-ai/g0-sidecar/rules/egress"
	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// lockWait is how long iptables may wait for others that change it, in seconds.
const lockWait = 3

// loadedAudit asks the kernel for its rules.
func loadedAudit() ([]string, error) {
	c, err := libaudit.NewAuditClient(nil)
	if err != nil {
		return nil, needsRoot(err)
	}
	loaded, err := c.GetRules()
	if err = errors.Join(err, c.Close()); err != nil {
		return nil, needsRoot(err)
	}
	var out []string
	for _, raw := range loaded {
		// A rule that the library cannot name is none of g0's.
		if line, err := rule.ToCommandLine(rule.WireFormat(raw), false); err == nil {
			out = append(out, line)
		}
	}
	return out, nil
}

func needsRoot(err error) error {
	if denied(err) {
		return fmt.Errorf("%w: run as root", err)
	}
	return err
}

// firewall asks iptables and the kernel's nftables.
func firewall() scan.Firewall {
	return scan.Firewall{
		V4: fact(chains(iptables.ProtocolIPv4)), V6: fact(chains(iptables.ProtocolIPv6)), NFT: fact(tables()),
	}
}

// chains gives the rules of the two chains through which containers' packets go,
// and of g0's own.
func chains(proto iptables.Protocol) (map[string][]string, error) {
	t, err := iptables.New(iptables.IPFamily(proto), iptables.Timeout(lockWait))
	if err != nil {
		return nil, err
	}
	names, err := t.ListChains("filter")
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, chain := range names {
		if chain != "DOCKER-USER" && chain != "FORWARD" && !strings.HasPrefix(chain, egress.Chain) {
			continue
		}
		list, err := t.List("filter", chain)
		if err != nil {
			return nil, err
		}
		for _, line := range list {
			if strings.HasPrefix(line, "-A ") {
				out[chain] = append(out[chain], line)
			}
		}
	}
	return out, nil
}

// tables gives those of nftables; only g0's own is looked into.
func tables() ([]scan.Table, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	list, err := c.ListTables()
	if err != nil {
		return nil, needsRoot(err)
	}
	var out []scan.Table
	for _, t := range list {
		found := scan.Table{Name: t.Name}
		if t.Name == egress.Table {
			if found.Refuses, err = refuses(c, t); err != nil {
				return nil, needsRoot(err)
			}
		}
		out = append(out, found)
	}
	return out, nil
}

// refuses says whether a rule in a table rejects or drops.
func refuses(c *nftables.Conn, t *nftables.Table) (bool, error) {
	chains, err := c.ListChainsOfTableFamily(t.Family)
	if err != nil {
		return false, err
	}
	for _, ch := range chains {
		if ch.Table.Name != t.Name {
			continue
		}
		rules, err := c.GetRules(t, ch)
		if err != nil {
			return false, err
		}
		for _, r := range rules {
			if slices.ContainsFunc(r.Exprs, ends) {
				return true, nil
			}
		}
	}
	return false, nil
}

// ends says whether a step of a rule takes the packet away.
func ends(e expr.Any) bool {
	switch e := e.(type) {
	case *expr.Reject:
		return true
	case *expr.Verdict:
		return e.Kind == expr.VerdictDrop
	}
	return false
}

const lsmList = "/sys/kernel/security/lsm"

// SecurityModules reads the kernel's list of those that it asks, in their order,
// from /sys/kernel/security/lsm: "lockdown,capability,bpf".
func SecurityModules(at string) ([]string, error) {
	b, err := os.ReadFile(at)
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(strings.TrimSpace(string(b)), func(r rune) bool { return r == ',' }), nil
}

// Kernel is what generated policies depend on.
type Kernel struct {
	// Release is what uname -r says; empty: it could not be read.
	Release string
	// LSM says that the BPF LSM is seen to be active. Where it is not, Tetragon
	// refuses a policy with such a hook, so what cannot be seen counts as absent.
	LSM bool
}

// Here looks at the kernel that g0 runs on.
func Here() Kernel {
	var k Kernel
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		k.Release = unix.ByteSliceToString(uts.Release[:])
	}
	modules, err := SecurityModules(lsmList)
	k.LSM = err == nil && slices.Contains(modules, "bpf")
	return k
}
