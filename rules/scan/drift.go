package scan

import (
	"maps"
	"slices"
	"strings"
)

// DriftKind says in which way a report differs from the one before.
type DriftKind string

// Kinds of drift, in the order in which they are told.
const (
	// NewFailure: a check fails that never failed and was resolved before.
	NewFailure DriftKind = "new-failure"
	// Regression: a check fails that failed before and was resolved since.
	Regression DriftKind = "regression"
	// Resolved: a check that failed passes, or no longer applies.
	Resolved DriftKind = "resolved"
	// CognitiveDrift: a file that is read into prompts was changed, added or removed.
	CognitiveDrift DriftKind = "cognitive-drift"
	// NewSecretDuplication: agents share a secret in places where they did not.
	NewSecretDuplication DriftKind = "new-secret-duplication"
	// NewEgressViolation: a connection outside the allow list that was not there.
	NewEgressViolation DriftKind = "new-egress-violation"
)

// Drift is one difference.
type Drift struct {
	Kind     DriftKind `json:"kind"`
	Severity Severity  `json:"severity"`
	// Check is the id of the check that says the same of the present.
	Check string `json:"check"`
	// Text says what it is, a clause; names in it are as [Name] gives them.
	Text string `json:"text"`
}

// Compare gives what changed between two reports of one deployment, in a fixed
// order. A check that could not be looked at neither fails nor is resolved: its
// last outcome stands. With a before that has nothing, every failure is new.
func Compare(before, now Report) []Drift {
	kinds := map[DriftKind][]Drift{}
	for _, f := range now.Audit {
		then := before.finding(f.ID)
		kind := NewFailure
		switch {
		case f.Status == Fail && then.Last != Fail:
			if then.FailedBefore {
				kind = Regression
			}
		case f.Last == Pass && f.Status != NotKnown && then.Last == Fail:
			kind = Resolved
		default:
			continue
		}
		text := f.Title
		if len(f.Evidence) > 0 {
			text += ": " + f.Evidence[0]
		}
		kinds[kind] = append(kinds[kind], Drift{kind, f.Severity, f.ID, text})
	}
	add := func(kind DriftKind, check string, texts []string) {
		severity := now.finding(check).Severity
		for _, t := range texts {
			kinds[kind] = append(kinds[kind], Drift{kind, severity, check, t})
		}
	}
	if before.CognitiveKnown && now.CognitiveKnown {
		var texts []string
		for _, c := range changes(before.Cognitive, now.Cognitive) {
			texts = append(texts, Name(c.path)+" "+c.what)
		}
		add(CognitiveDrift, "G0-AUD-011", texts)
	}
	if now.DuplicatesKnown {
		add(NewSecretDuplication, "G0-AUD-012", without(now.Duplicates, before.Duplicates))
	}
	if now.EgressKnown {
		add(NewEgressViolation, "G0-AUD-025", without(now.Egress, before.Egress))
	}
	var out []Drift
	for _, kind := range []DriftKind{NewFailure, Regression, Resolved, CognitiveDrift, NewSecretDuplication, NewEgressViolation} {
		out = append(out, kinds[kind]...)
	}
	return out
}

// change is what happened to a file.
type change struct{ path, what string }

// changes compares hashes by path, sorted by path.
func changes(before, now map[string]string) []change {
	var out []change
	for _, p := range slices.Sorted(maps.Keys(now)) {
		switch then, ok := before[p]; {
		case !ok:
			out = append(out, change{PathOf(p), "was added"})
		case then != now[p]:
			out = append(out, change{PathOf(p), "was changed"})
		}
	}
	for _, p := range slices.Sorted(maps.Keys(before)) {
		if _, ok := now[p]; !ok {
			out = append(out, change{PathOf(p), "was removed"})
		}
	}
	slices.SortFunc(out, func(a, b change) int { return strings.Compare(a.path, b.path) })
	return out
}

// without gives those of now that are not in before.
func without(now, before []string) []string {
	had := make(map[string]bool, len(before))
	for _, s := range before {
		had[s] = true
	}
	return slices.DeleteFunc(slices.Clone(now), func(s string) bool { return had[s] })
}
