package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/guard0-ai/g0-sidecar/"

// mayImport is the table of docs/architecture.md: what each package may import
// of ours. Imports point downwards only; a package that is not listed is a
// border that nobody has drawn yet.
var mayImport = map[string][]string{
	"config":                          {},
	"rules/correlation":               {"config"},
	"rules":                           {"rules/"},
	"rules/deployment":                {"config"},
	"rules/compose":                   {"rules/deployment", "config"},
	"rules/egress":                    {"rules/deployment"},
	"rules/tetragon":                  {"rules/deployment"},
	"rules/openclaw":                  {"config"},
	"rules/discover":                  {"rules/deployment", "rules/imagelabels", "rules/openclaw"},
	"rules/imagelabels":               {},
	"rules/scan":                      {"rules/deployment", "rules/egress", "rules/openclaw"},
	"rules/probe":                     {"rules/deployment", "rules/egress", "rules/openclaw", "rules/scan"},
	"rules/falco":                     {"rules/deployment"},
	"rules/auditd":                    {"rules/deployment"},
	"rules/output":                    {},
	"testdata":                        {},
	"pipeline/event":                  {},
	"pipeline/coverage":               {"pipeline/event"},
	"pipeline/journal":                {"pipeline/event"},
	"pipeline/state":                  {},
	"pipeline/intake":                 {"pipeline/event", "pipeline/coverage", "pipeline/journal"},
	"pipeline/source/receiver":        {"pipeline/event", "pipeline/coverage", "config"},
	"pipeline/source/tetragon":        {"pipeline/event", "pipeline/coverage", "config"},
	"pipeline/source/tetragon/export": {"pipeline/event", "pipeline/coverage"},
	"pipeline/source/tetragon/replay": {},
	"pipeline/source/docker":          {"pipeline/event", "pipeline/coverage", "rules/imagelabels"},
	"pipeline/stage/identify":         {"pipeline/event"},
	"pipeline/stage/baseline":         {"pipeline/event"},
	"pipeline/stage/correlate":        {"pipeline/event", "rules/correlation"},
	"pipeline/stage/killswitch":       {"pipeline/event", "pipeline/enforce", "rules/correlation"},
	"pipeline/stage/generate":         {"pipeline/event"},
	"pipeline/upkeep":                 {"pipeline/event", "pipeline/stage/generate", "rules/"},
	"pipeline/enforce":                {"pipeline/event", "pipeline/state"},
	"pipeline/notify":                 {"pipeline/event", "pipeline/coverage", "pipeline/state", "config"},
	"pipeline/spine":                  {"pipeline/event", "pipeline/coverage", "pipeline/journal", "pipeline/state", "pipeline/intake", "pipeline/feed"},
	"pipeline/feed":                   {"pipeline/event"},
	"pipeline/redact":                 {},
	"pipeline/audit":                  {"pipeline/event", "pipeline/coverage"},
	"pipeline/control":                {"pipeline/event", "pipeline/feed", "pipeline/redact", "pipeline/stage/baseline", "pipeline/stage/killswitch"},
	"pipeline/store":                  {"pipeline/event", "pipeline/coverage", "pipeline/state", "config"},
	"pipeline/store/storetest":        {"pipeline/store"},
	"pipeline/component":              {"pipeline/", "rules", "rules/", "config"},
	"sidecar/demo":                    {"pipeline/event", "pipeline/source/tetragon/replay", "pipeline/stage/baseline", "pipeline/store", "testdata"},
	"sidecar":                         {"pipeline/", "rules", "rules/", "config", "sidecar/demo"},

	"pipeline/source/tetragon/policies": {"pipeline/event", "pipeline/source/tetragon", "rules/deployment"},

	"config/schematest":                            {}, // for tests
	"pipeline/source/docker/dockertest":            {}, // for tests
	"pipeline/source/tetragon/policies/policytest": {}, // for tests
	"rules/falco/falcotest":                        {}, // for tests
}

// mayImportBenthos holds the only package that knows Benthos.
const mayImportBenthos = "pipeline/component"

func TestImportsPointDownwards(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "../...", "../testdata").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg := strings.TrimPrefix(words[0], module)
		allowed, listed := mayImport[pkg]
		if !listed {
			t.Errorf("%s is not in the table: say there what it may import", pkg)
			continue
		}
		for _, imp := range words[1:] {
			if strings.HasPrefix(imp, "github.com/benthosdev/") && pkg != mayImportBenthos {
				t.Errorf("%s imports Benthos; only %s may", pkg, mayImportBenthos)
			}
			ours, ok := strings.CutPrefix(imp, module)
			if !ok {
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool {
				return ours == a || strings.HasSuffix(a, "/") && strings.HasPrefix(ours, a)
			}) {
				t.Errorf("%s imports %s, which its line in the table does not allow", pkg, ours)
			}
		}
	}
}
