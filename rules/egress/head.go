package egress

import (
	"strconv"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// about says what the rules do and what they cannot see, for a file's head.
func (p *plan) about() []string {
	what := "Enforced: what agents send elsewhere than the allow list is rejected, logged and counted."
	if !p.enforce {
		what = "Observed: what agents send elsewhere than the allow list is logged and counted, and passes."
	}
	out := []string{
		what,
		"",
		"Allowed: answers and what belongs to a connection that is open; DNS (port 53) to",
		"the resolvers named, and to an entry with that port; the entries of the list; on",
		"the host itself the same, and TCP port " + strconv.Itoa(int(p.receiver)) + ", g0's receiver.",
		"Not seen: connections that the kernel followed before, until they end; containers",
		"on the host's network, on macvlan, or on a network that is not named; what stays",
		"on the agents' own network, which may hold a proxy; what the Docker daemon or a",
		"resolver asks for a container; which name an address was meant for.",
	}
	if len(p.notes) > 0 {
		out = append(out, "")
	}
	for _, n := range p.notes {
		out = append(out, "Note: "+n)
	}
	return out
}

// comment makes lines of # comments, whatever is in them.
func comment(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.TrimSuffix(deployment.Comment(l), "\n")
	}
	return out
}
