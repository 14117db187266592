package rules_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/guard0-ai/g0-sidecar/rules"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

const (
	manyAgents  = 1000
	manyEntries = 10_000
)

// large is a deployment of many agents, each with a container of its own, and a
// long allow list: apart leaves gaps between its networks, so that none merge.
func large(tb testing.TB, apart int) *rules.Deployment {
	d := deployment.Default()
	d.AgentDataPath = "/srv/openclaw/agents"
	d.Networks = []deployment.Network{{Name: "agents", Bridge: "br-agents"}}
	for i := range manyAgents {
		d.Agents = append(d.Agents, deployment.Agent{
			ID: fmt.Sprintf("agent-%04d", i), Workspace: fmt.Sprintf("/srv/openclaw/workspace-agent-%04d", i),
			Containers: []deployment.Container{{ID: fmt.Sprintf("%064x", i+1), Name: fmt.Sprintf("openclaw-sbx-%04d", i)}},
		})
	}
	for i := range manyEntries / 2 {
		d.Egress.Allow = append(d.Egress.Allow,
			fmt.Sprintf("10.%d.%d.0/24", i*apart/256, i*apart%256),
			fmt.Sprintf("2001:db8:%x::/48", i*apart))
	}
	if err := d.Validate(); err != nil {
		tb.Fatal(err)
	}
	return &d
}

// BenchmarkGenerate writes every file for 1,000 agents and an allow list of 10,000
// entries, observing.
func BenchmarkGenerate(b *testing.B) {
	for _, list := range []struct {
		name  string
		apart int
	}{{"merging", 1}, {"apart", 2}} {
		b.Run(list.name, func(b *testing.B) { generate(b, large(b, list.apart)) })
	}
}

func generate(b *testing.B, d *rules.Deployment) {
	b.ReportAllocs()
	var files, size int
	for b.Loop() {
		bundle, err := rules.Generate(rules.Options{Deployment: d, Version: "v0"})
		if err != nil {
			b.Fatal(err)
		}
		files, size = 0, 0
		for _, f := range bundle.Files() {
			files++
			size += len(f.Content)
		}
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	b.ReportMetric(float64(files), "files")
	b.ReportMetric(float64(size)/1e6, "MB-written")
	b.ReportMetric(float64(mem.HeapSys)/1e6, "MB-heap")
}
