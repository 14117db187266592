package main

import (
	"os"
	"strings"
	"testing"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/docker/dockertest"
)

// TestPoliciesFollowContainers runs a real container of an agent: the policies
// name it while it runs, also after a restart of g0, and the next one when it is
// made anew.
func TestPoliciesFollowContainers(t *testing.T) {
	d := dockertest.Start(t)
	p := newProcess(t, `$INPUT
      - g0_docker: { address: "`+d.Address+`" }
pipeline:
  processors:
    - g0_identify: { gateways: [ { name: main, agents: [ support ] } ] }
    - g0_generate: { deployment: $DIR/deployment.yaml, output_dir: $DIR/rules, scan_interval: 0s, only: [ tetragon ] }
output:
  file: { path: $DIR/out.jsonl, codec: lines }
`)
	if err := os.WriteFile(p.path("deployment.yaml"), []byte("agentDataPath: /srv/agents\nscope: { kind: containers }\nagents: [ { id: support } ]\n"+
		"gateway: { container: { id: 0123456789ab, name: gateway } }\negress: { allow: [ 192.0.2.10 ] }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	box := func() string {
		return d.Run(dockertest.Box{Name: "openclaw-sbx-1", Labels: map[string]string{
			"openclaw.sandbox": "1", "openclaw.sessionKey": "agent:support:main:workspace:db1223458d5f4fa8b95f0e4aa9749d80"}})
	}
	names := func(id string) bool {
		b, err := os.ReadFile(p.path("rules/tetragon-policies/g0-openclaw-docker-socket.yaml"))
		return err == nil && strings.Contains(string(b), id)
	}
	written := func() (n int) {
		for _, ev := range p.out() {
			if ev.Type == event.TypeRulesGenerated {
				n++
			}
		}
		return n
	}
	p.start()
	first := box()
	p.until("the policy names the container", func() bool { return names(first[:12]) && written() > 0 })
	d.Remove(first)
	p.until("the policy forgets it", func() bool { return !names(first[:12]) })
	second := box()
	p.until("the policy names the next", func() bool { return names(second[:12]) })
	p.stop()
	p.start()
	d.Remove(second)
	p.until("after a restart the policy forgets it", func() bool { return !names(second[:12]) })
}
