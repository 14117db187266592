package scan

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

//go:generate go test -count=1 -run TestDocumentation . -update

var update = flag.Bool("update", false, "write docs/scan.md anew")

// TestDocumentation holds the table of checks in docs/scan.md to the code.
func TestDocumentation(t *testing.T) {
	const path = "../../docs/scan.md"
	const begin, end = "<!-- This table is written by `make generate`, from rules/scan. -->\n", "<!-- Here it ends. -->\n"
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(got), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table between its marks", path)
	}
	var table strings.Builder
	table.WriteString("| ID | severity | passes when | remedy |\n|---|---|---|---|\n")
	for _, c := range Checks {
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", c.ID, c.Severity, c.Title, c.Remedy)
	}
	want := head + begin + table.String() + end + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale, run make generate:\n%s", path, diff)
	}
}
