package probe

import (
	"context"

	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// Outcome is a scan compared with the one kept before.
type Outcome struct {
	Report scan.Report
	// Drift is what changed. Empty too where there is nothing to compare with; Before
	// says why then.
	Drift []scan.Drift
	// Before is nil, [scan.ErrNoReport], or why the kept report cannot be used.
	Before error
}

// Scan gathers the facts, has them checked and compares with the report at path,
// which it only reads: [scan.Report.Save] keeps the new one. An empty path stands
// for none.
func Scan(ctx context.Context, o Options, path string) Outcome {
	before, err := (*scan.Report)(nil), scan.ErrNoReport
	if path != "" {
		before, err = scan.Load(path, o.Deployment.AgentDataPath)
	}
	f := Collect(ctx, o)
	if err != nil {
		f.Before = scan.Unknown[map[string]string](reason(err))
	} else if before.CognitiveKnown {
		f.Before = scan.Of(before.Cognitive)
	}
	out := Outcome{Report: scan.New(&f, before), Before: err}
	if err == nil {
		out.Drift = scan.Compare(*before, out.Report)
	}
	return out
}
