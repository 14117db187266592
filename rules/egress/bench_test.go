package egress

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// long is an allow list of n entries that do not merge: a third of them
// networks, a third addresses with a port, a third networks of IPv6.
func long(n int) *deployment.Deployment {
	d := list(deployment.Enforce)
	for i := range n {
		switch a, b := i/3/256, i/3%256; i % 3 {
		case 0:
			d.Egress.Allow = append(d.Egress.Allow, fmt.Sprintf("11.%d.%d.0/25", a, b))
		case 1:
			d.Egress.Allow = append(d.Egress.Allow, fmt.Sprintf("12.%d.%d.1:443", a, b))
		default:
			d.Egress.Allow = append(d.Egress.Allow, fmt.Sprintf("2600:%x:%x::/49", a, b))
		}
	}
	return d
}

func BenchmarkGenerate(b *testing.B) {
	d := long(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Generate(Options{Deployment: d}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkApply is how long the real programs take for 10,000 entries, which
// are there already.
func BenchmarkApply(b *testing.B) {
	host := newSpace(b)
	_, dir := generate(b, long(10_000))
	for name, args := range map[string][]string{
		"script": {"sh", filepath.Join(dir, "egress.sh")},
		"check":  {"sh", filepath.Join(dir, "egress.sh"), "--check"},
		"nft":    {"nft", "-f", filepath.Join(dir, "egress.nft")},
	} {
		b.Run(name, func(b *testing.B) {
			host.run(b, "sh", filepath.Join(dir, "egress.sh"))
			for b.Loop() {
				if out, err := host.try(exec.Command(args[0], args[1:]...)); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
			}
		})
	}
}
