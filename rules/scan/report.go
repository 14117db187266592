package scan

import (
	"maps"
	"slices"
)

// Finding is a check and what it found.
type Finding struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
	Status   Status   `json:"status"`
	Evidence []string `json:"evidence,omitzero"`
	Remedy   string   `json:"remedy"`
	// Last is the last outcome that was pass or fail, in this scan or before.
	Last Status `json:"last,omitzero"`
	// FailedBefore says that it failed in some scan and was resolved since.
	FailedBefore bool `json:"failedBefore,omitzero"`
}

// ReportVersion is the form of [Report] as it is kept.
const ReportVersion = 1

// Report is what a scan found, in the form in which it is kept for the next.
type Report struct {
	Version int `json:"version"`
	// AgentDataPath says of which deployment it is.
	AgentDataPath string    `json:"agentDataPath"`
	Audit         []Finding `json:"audit"`
	// Cognitive has the hashes of the files that are read into prompts, by path; one
	// that is not UTF-8 is quoted as Go does it.
	Cognitive map[string]string `json:"cognitive,omitzero"`
	// Duplicates has the secrets that several agents share, by their places;
	// Egress the connections outside the allow list. No secret is kept in any form.
	Duplicates []string `json:"duplicates,omitzero"`
	Egress     []string `json:"egress,omitzero"`
	// CognitiveKnown, DuplicatesKnown and EgressKnown say whether those could be
	// looked at. What could not be keeps what was known before.
	CognitiveKnown  bool `json:"cognitiveKnown,omitzero"`
	DuplicatesKnown bool `json:"duplicatesKnown,omitzero"`
	EgressKnown     bool `json:"egressKnown,omitzero"`
}

// New asks all checks. before is the report kept last, nil for none: what is
// known of earlier scans goes on from it.
func New(f *Facts, before *Report) Report {
	r := Report{Version: ReportVersion, AgentDataPath: f.Deployment.AgentDataPath}
	for _, c := range Checks {
		res := c.Look(f)
		r.Audit = append(r.Audit, Finding{
			ID: c.ID, Title: c.Title, Severity: c.Severity, Status: res.Status, Evidence: res.Evidence, Remedy: c.Remedy,
		})
	}
	if f.Files.Known {
		r.Cognitive, _ = hashes(f, f.Before.Value)
		r.CognitiveKnown = true
	}
	if f.Secrets.Known {
		for _, d := range duplicates(f.Secrets.Value.Found) {
			r.Duplicates = append(r.Duplicates, d.String())
		}
		r.DuplicatesKnown = true
		if len(f.Missed) > 0 && before != nil { // they may be there yet
			r.Duplicates = append(r.Duplicates, without(before.Duplicates, r.Duplicates)...)
		}
	}
	if f.Connections.Known {
		r.Egress, _ = violations(f)
		r.EgressKnown = true
	}
	r.remember(before)
	return r
}

// remember carries over what this scan could not see or cannot know.
func (r *Report) remember(before *Report) {
	if before == nil {
		before = &Report{}
	}
	for i := range r.Audit {
		now := &r.Audit[i]
		then := before.finding(now.ID)
		now.Last, now.FailedBefore = then.Last, then.FailedBefore
		switch now.Status {
		case Pass, NotApplicable:
			now.FailedBefore = then.FailedBefore || then.Last == Fail
			now.Last = Pass
		case Fail:
			now.Last = Fail
		}
	}
	if !r.CognitiveKnown {
		r.Cognitive, r.CognitiveKnown = maps.Clone(before.Cognitive), before.CognitiveKnown
	}
	if !r.DuplicatesKnown {
		r.Duplicates, r.DuplicatesKnown = slices.Clone(before.Duplicates), before.DuplicatesKnown
	}
	if !r.EgressKnown {
		r.Egress, r.EgressKnown = slices.Clone(before.Egress), before.EgressKnown
	}
}

// finding gives that of an id, the zero value where there is none.
func (r *Report) finding(id string) Finding {
	if i := slices.IndexFunc(r.Audit, func(f Finding) bool { return f.ID == id }); i >= 0 {
		return r.Audit[i]
	}
	return Finding{}
}

// Worst gives the severity of the worst check that failed.
func (r *Report) Worst() (Severity, bool) {
	var out Severity
	for _, f := range r.Audit {
		if f.Status == Fail && (out == "" || f.Severity.AtLeast(out)) {
			out = f.Severity
		}
	}
	return out, out != ""
}
