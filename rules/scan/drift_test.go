package scan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDriftOverSeveralScans goes through the life of one check.
func TestDriftOverSeveralScans(t *testing.T) {
	lsm := func(modules ...string) Fact[[]string] { return Of(modules) }
	steps := []struct {
		name string
		lsm  Fact[[]string]
		want []DriftKind
	}{
		{"passes at first", lsm("bpf"), nil},
		{"fails", lsm("yama"), []DriftKind{NewFailure}},
		{"still fails", lsm("yama"), nil},
		{"cannot be seen", Unknown[[]string]("x"), nil},
		{"fails as before", lsm("yama"), nil},
		{"cannot be seen again", Unknown[[]string]("x"), nil},
		{"is mended", lsm("bpf"), []DriftKind{Resolved}},
		{"cannot be seen when good", Unknown[[]string]("x"), nil},
		{"fails again", lsm("yama"), []DriftKind{Regression}},
		{"is mended again", lsm("bpf"), []DriftKind{Resolved}},
	}
	var before Report
	for i, s := range steps {
		f := Facts{Deployment: two(), LSM: s.lsm}
		now := New(&f, &before)
		var got []DriftKind
		for _, d := range Compare(before, now) {
			if d.Check != "G0-AUD-024" || d.Severity != Medium {
				t.Errorf("%s: %+v", s.name, d)
			}
			got = append(got, d.Kind)
		}
		if diff := cmp.Diff(s.want, got); diff != "" {
			t.Errorf("%d, %s: %s", i, s.name, diff)
		}
		before = now
	}
}

func TestDriftOfThings(t *testing.T) {
	before := Report{
		Cognitive:      map[string]string{"/a/SOUL.md": "1", "/b/SOUL.md": "1", "/c/SOUL.md": "1"},
		CognitiveKnown: true, Duplicates: []string{"old"}, DuplicatesKnown: true, Egress: []string{"old"}, EgressKnown: true,
		Audit: []Finding{{ID: "G0-AUD-024", Severity: Medium, Status: Pass, Last: Pass}},
	}
	now := Report{
		Cognitive:      map[string]string{"/a/SOUL.md": "2", "/c/SOUL.md": "1", "/d\x1b/SOUL.md": "1"},
		CognitiveKnown: true, Duplicates: []string{"new", "old"}, DuplicatesKnown: true, Egress: []string{"new", "old"}, EgressKnown: true,
		Audit: []Finding{
			{ID: "G0-AUD-011", Severity: Medium}, {ID: "G0-AUD-012", Severity: High}, {ID: "G0-AUD-025", Severity: High},
			{ID: "G0-AUD-024", Title: "T", Severity: Medium, Status: Fail, Last: Fail},
		},
	}
	want := []Drift{
		{NewFailure, Medium, "G0-AUD-024", "T"},
		{CognitiveDrift, Medium, "G0-AUD-011", "/a/SOUL.md was changed"},
		{CognitiveDrift, Medium, "G0-AUD-011", "/b/SOUL.md was removed"},
		{CognitiveDrift, Medium, "G0-AUD-011", `"/d\x1b/SOUL.md" was added`},
		{NewSecretDuplication, High, "G0-AUD-012", "new"},
		{NewEgressViolation, High, "G0-AUD-025", "new"},
	}
	if diff := cmp.Diff(want, Compare(before, now)); diff != "" {
		t.Error(diff)
	}
	if d := Compare(now, now); len(d) != 0 {
		t.Errorf("a report differs from itself: %+v", d)
	}
}

func TestWhatCannotBeSeenIsKept(t *testing.T) {
	f := Facts{
		Deployment: two(), Files: Of([]File{{Path: "/SOUL.md", Kind: Cognitive, Hash: "1"}}),
		Secrets: Of(Secrets{Found: []Secret{{"m", "main", "/a", "k"}, {"m", "support", "/b", "k"}}}),
	}
	first := New(&f, nil)
	blind := New(&Facts{Deployment: two()}, &first)
	if d := Compare(first, blind); len(d) != 0 {
		t.Errorf("what could not be seen is drift: %+v", d)
	}
	f.Before = Of(blind.Cognitive)
	if d := Compare(blind, New(&f, &blind)); len(d) != 0 {
		t.Errorf("what is seen again is drift: %+v", d)
	}
	gone := f
	gone.Files = Of([]File{{Path: "/SOUL.md", Kind: Cognitive, HashWhy: "denied"}})
	if d := Compare(first, New(&gone, &first)); len(d) != 0 {
		t.Errorf("a file that cannot be read is drift: %+v", d)
	}
}
