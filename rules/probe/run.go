package probe

import (
	"context"

	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// Run gathers the facts and has them checked. before is the report kept last,
// nil with the reason why where there is none.
func Run(ctx context.Context, o Options, before *scan.Report, why string) scan.Report {
	f := Collect(ctx, o)
	switch {
	case before == nil:
		f.Before = scan.Unknown[map[string]string](why)
	case !before.CognitiveKnown:
		f.Before = scan.Unknown[map[string]string]("no earlier scan could read them")
	default:
		f.Before = scan.Of(before.Cognitive)
	}
	return scan.New(&f, before)
}

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
	if err != nil {
		return Outcome{Report: Run(ctx, o, nil, reason(err)), Before: err}
	}
	now := Run(ctx, o, before, "")
	return Outcome{Report: now, Drift: scan.Compare(*before, now)}
}
