package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/generate"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/probe"
	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// Scan looks at a deployment and compares with the report kept in the file at
// kept, which is written by the keep that it returns.
func Scan(ctx context.Context, o probe.Options, kept string) (found generate.Scan, keep func() error, err error) {
	before, err := scan.Load(kept, o.Deployment.AgentDataPath)
	why := ""
	if _, unread := errors.AsType[*fs.PathError](err); unread {
		return found, nil, fmt.Errorf("read what the scan before kept: %w", err) // it may be good: nothing goes in its place
	}
	if err != nil {
		// There is none, or it is of another deployment, or broken: it begins anew.
		before, why = nil, err.Error()
		if !errors.Is(err, scan.ErrNoReport) {
			found.Blind = append(found.Blind, generate.Blind{Check: "drift", Text: "what scans before knew is not compared with: " + why})
		}
	}
	now := probe.Run(ctx, o, before, why)
	for _, f := range now.Audit {
		switch f.Status {
		case scan.Fail:
			found.Failing++
		case scan.NotKnown:
			found.Unknown++
			if before != nil && sawBefore(before, f.ID) {
				found.Blind = append(found.Blind, generate.Blind{Check: f.ID, Text: f.Title + " is not known any more: " + strings.Join(f.Evidence, "; ")})
			}
		}
	}
	if before == nil {
		found.First = true
	} else {
		found.Drifts = drifts(o.Deployment, *before, now)
	}
	return found, func() error { return now.Save(kept) }, nil
}

// sawBefore says whether the check was looked at in the scan before.
func sawBefore(before *scan.Report, id string) bool {
	return slices.ContainsFunc(before.Audit, func(f scan.Finding) bool { return f.ID == id && f.Status != scan.NotKnown })
}

// drifts gives those between two reports, with the agents and files of what was
// changed.
func drifts(d *deployment.Deployment, before, now scan.Report) []generate.Drift {
	var out []generate.Drift
	for _, f := range scan.Compare(before, now) {
		if f.Kind != scan.CognitiveDrift {
			out = append(out, generate.Drift{Kind: string(f.Kind), Severity: severityOf(f), Check: f.Check, Text: f.Text})
			continue
		}
		if slices.ContainsFunc(out, func(o generate.Drift) bool { return o.Kind == string(f.Kind) }) {
			continue // all at once, from the reports
		}
		out = append(out, cognitive(d, f, before.Cognitive, now.Cognitive)...)
	}
	return out
}

// cognitive gives the files that differ, each with the agent that it instructs.
func cognitive(d *deployment.Deployment, f scan.Drift, before, now map[string]string) []generate.Drift {
	paths := slices.AppendSeq(slices.Collect(maps.Keys(before)), maps.Keys(now))
	slices.Sort(paths)
	var out []generate.Drift
	for _, p := range slices.Compact(paths) {
		if before[p] == now[p] {
			continue
		}
		at, what := scan.PathOf(p), "was changed"
		if before[p] == "" {
			what = "was added"
		} else if now[p] == "" {
			what = "was removed"
		}
		out = append(out, generate.Drift{
			Kind: generate.KindCognitive, Severity: severityOf(f), Check: f.Check, Text: scan.Name(at) + " " + what,
			Agent: agentOf(d, at), Path: at, Gone: now[p] == "",
		})
	}
	return out
}

// agentOf gives the agent in whose workspace or folder a file is; "": of none
// alone.
func agentOf(d *deployment.Deployment, file string) string {
	for _, a := range d.Agents {
		for _, folder := range []string{a.Workspace, path.Join(d.AgentDataPath, a.ID)} {
			if strings.HasPrefix(folder, "/") && strings.HasPrefix(file, path.Clean(folder)+"/") {
				return a.ID
			}
		}
	}
	return ""
}

// severityOf is what the check says; what is resolved is good news.
func severityOf(f scan.Drift) event.Severity {
	if f.Kind == scan.Resolved {
		return event.SeverityInfo
	}
	var sev event.Severity
	if sev.UnmarshalText([]byte(f.Severity)) != nil {
		return event.SeverityOf(event.TypeDriftDetected)
	}
	return sev
}
