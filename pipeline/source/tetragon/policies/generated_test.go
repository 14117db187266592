package policies

import (
	"os"
	"path/filepath"
	"testing"
)

// What is generated can be loaded, and what enforces has a scope.
func TestGeneratedPoliciesAreAccepted(t *testing.T) {
	files, err := filepath.Glob("../../../../rules/tetragon/testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files of rules/tetragon", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := Parse(filepath.Base(file), text); err != nil || len(found) == 0 {
			t.Errorf("%d policies: %v", len(found), err)
		}
	}
}
