package scan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/openclaw"
)

// tokenNames are the variables that make who has them an operator of the gateway.
var tokenNames = []string{"OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD"}

// gatewayContained says whether the gateway runs in a container.
func gatewayContained(f *Facts) bool {
	if f.Deployment.Gateway.Container.ID != "" || f.Deployment.Gateway.Container.Name != "" {
		return true
	}
	return slices.ContainsFunc(f.Containers.Value, func(c Container) bool { return c.Agent == "" })
}

// bind gives gateway.bind as configured.
func bind(f *Facts) (value string, known bool) {
	if f.Settings.Known && !slices.ContainsFunc(f.Settings.Value.Odd, func(k string) bool {
		return k == "$include" || k == "gateway.$include" || strings.HasPrefix("gateway.bind", k)
	}) {
		if b := f.Settings.Value.Gateway.Bind; b != nil {
			return *b, true
		}
		return "", true
	}
	return f.Deployment.Gateway.Bind, f.Deployment.Gateway.Bind != ""
}

// loopbackOnly goes by what listens, where that could be seen, and by what is
// configured.
func loopbackOnly(f *Facts) Result {
	var open []string
	for _, l := range f.Listeners.Value {
		if !l.Addr().Unmap().IsLoopback() {
			open = append(open, "it listens on "+l.String())
		}
	}
	if s := f.Settings.Value; s != nil && s.Gateway.Tailscale.Mode != nil && *s.Gateway.Tailscale.Mode == "funnel" {
		open = append(open, "gateway.tailscale.mode is funnel, by which the whole internet reaches it")
	}
	set, known := bind(f)
	switch {
	case len(open) > 0:
		return fail(open...)
	case !known && len(f.Listeners.Value) > 0:
		return pass(fmt.Sprintf("it listens on %s", f.Listeners.Value[0]))
	case !known:
		return unknown("openclaw.json: "+f.Settings.why(), "no process was seen that listens: "+f.Listeners.why())
	case set == "loopback":
		return pass("gateway.bind is loopback")
	case set == "custom":
		return customBind(f)
	case set == "" && gatewayContained(f):
		return fail("gateway.bind is unset, which in a container means every address")
	case (set == "" || set == "auto") && !gatewayContained(f):
		// That none was found does not say that it is in none: which is the gateway's may
		// not be known, or it may not run.
		how := "gateway.bind is unset"
		if set != "" {
			how = "gateway.bind is auto"
		}
		if len(f.Listeners.Value) > 0 {
			return pass(fmt.Sprintf("%s, and it listens on %s", how, f.Listeners.Value[0]))
		}
		return unknown(how+", which in a container is every address", "no process was seen that listens: "+f.Listeners.why(),
			"containers: "+f.Containers.whyNone(len(f.Containers.Value)))
	}
	return fail("gateway.bind is " + Name(set))
}

func customBind(f *Facts) Result {
	host := ""
	if c := f.Settings.Value; c != nil && c.Gateway.CustomBindHost != nil {
		host = *c.Gateway.CustomBindHost
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Unmap().IsLoopback() {
		return pass("gateway.customBindHost is " + Name(host)) // its zone may be anything
	}
	return fail("gateway.bind is custom and gateway.customBindHost is " + Name(host))
}

func bindIsSet(f *Facts) Result {
	set, known := bind(f)
	switch {
	case known && set != "":
		return pass("gateway.bind is " + Name(set))
	case gatewayContained(f) && known:
		return fail("gateway.bind is unset, and the gateway runs in a container")
	case !known:
		return unknown("openclaw.json: " + f.Settings.why())
	case len(f.Listeners.Value) > 0 && !slices.ContainsFunc(f.Listeners.Value, func(l netip.AddrPort) bool { return !l.Addr().Unmap().IsLoopback() }):
		return notApplicable("the gateway does not take every address, so it runs on the host")
	}
	return unknown("it is not known whether the gateway runs in a container: "+f.Containers.whyNone(len(f.Containers.Value)),
		"no process was seen that listens: "+f.Listeners.why())
}

var authAsked = settings(func(_ *Facts, c *openclaw.Config) Result {
	auth := c.Gateway.Auth
	if auth.Mode == nil {
		if auth.Token.Set() || auth.Password.Set() {
			return pass("gateway.auth has a token or a password")
		}
		return unknown("gateway.auth.mode is unset, and a token may come from the environment")
	}
	switch *auth.Mode {
	case "none":
		return fail("gateway.auth.mode is none")
	case "token", "password", "trusted-proxy":
		return pass("gateway.auth.mode is " + *auth.Mode)
	}
	return unknown("gateway.auth.mode is " + Name(*auth.Mode))
}, "gateway.auth")

// tokenNotInherited goes by the names of variables only. What the gateway has in
// its environment every command of an agent has too (seen on 2026.9.6).
func tokenNotInherited(f *Facts) Result {
	var found []string
	has := func(who string, names []string) {
		for _, n := range tokenNames {
			if slices.Contains(names, n) {
				found = append(found, fmt.Sprintf("%s has %s", who, n))
			}
		}
	}
	for _, c := range f.Containers.Value {
		has("container "+Name(c.Name), c.EnvNames)
	}
	for _, p := range f.Processes.Value {
		has(fmt.Sprintf("process %d (%s)", p.PID, Name(p.Comm)), p.EnvNames)
	}
	has(".env in the state folder", f.EnvFile.Value)
	if f.Settings.Known {
		for _, n := range tokenNames {
			if _, ok := f.Settings.Value.Env.Vars[n]; ok {
				found = append(found, "openclaw.json sets "+n+" in env.vars")
			}
		}
	}
	seen := slices.ContainsFunc(f.Processes.Value, func(p Process) bool { return len(p.EnvNames) > 0 }) || len(f.Containers.Value) > 0
	switch {
	case len(found) > 0:
		return fail(found...)
	case !seen:
		return unknown("no environment could be read; containers: "+f.Containers.whyNone(len(f.Containers.Value)),
			"processes: "+f.Processes.whyNone(len(f.Processes.Value)))
	}
	return pass("no container or process that was seen has one")
}

// whyNone says why nothing was seen of n things.
func (f Fact[T]) whyNone(n int) string {
	switch {
	case !f.Known:
		return f.why()
	case n == 0:
		return "there are none"
	}
	return "seen, without their environment"
}
