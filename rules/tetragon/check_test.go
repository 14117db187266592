package tetragon

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const observed = "../../testdata/tetragon/policies-observed"

// Every policy that was accepted by the real program and seen to work passes.
func TestCheckAcceptsWhatWasSeenToWork(t *testing.T) {
	count := 0
	err := filepath.WalkDir(observed, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		count++
		if err := Check(text, DefaultRelease); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return nil
	})
	if err != nil || count < 38 {
		t.Fatalf("%d files: %v", count, err)
	}
}

// base is a policy that loads and kills only containers.
const base = `apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: x
spec:
  kprobes:
    - call: security_file_open
      syscall: false
      args:
        - {index: 0, type: file}
      selectors:
        - matchArgs:
            - {index: 0, operator: Prefix, values: ["/x/"]}
          matchNamespaces:
            - {namespace: Pid, operator: NotIn, values: [host_ns]}
          matchActions:
            - action: Sigkill
`

// The forms that Tetragon refuses, or loads and never matches, or that hit the
// host: each is one that was tried, or a field of a later release.
func TestCheckRefusesWhatIsBroken(t *testing.T) {
	const scope = "          matchNamespaces:\n            - {namespace: Pid, operator: NotIn, values: [host_ns]}\n"
	const filter = `{index: 0, operator: Prefix, values: ["/x/"]}`
	values := func(n int) string { return `["` + strings.TrimSuffix(strings.Repeat(`v","`, n), `,"`) + `]` }
	tests := []struct{ name, old, now, release, says string }{
		{"as it is", "", "", "", ""},
		{"field that there is not", "spec:", "bogus: 1\nspec:", "", "bogus"},
		{"data at an LSM hook", "kprobes:\n    - call: security_file_open\n      syscall: false", "lsmhooks:\n    - hook: file_open\n      data: []", "", "data"},
		{"two documents", "kind:", "kind:", "", "second document"},
		{"value that is a number", `["/x/"]`, `[1]`, "", "string"},
		{"Sigkill without a scope", scope, "", "", "without a scope"},
		{"filter on an argument that is not named", "security_file_open\n      syscall: false\n      args:\n        - {index: 0, type: file}", "security_socket_connect\n      syscall: false\n      args:\n        - {index: 1, type: sockaddr_un}", "", "unknown argument"},
		{"SubString on file", "Prefix", "SubString", "", "SubString"},
		{"unknown operator", "Prefix", "Bogus", "", "Bogus"},
		{"unknown argument", filter, `{index: 1, operator: Prefix, values: ["/x/"]}`, "", "unknown argument"},
		{"unknown function", "security_file_open", "security_file_opened", "", "not tried"},
		{"type of another hook", "type: file", "type: sock", "", "not tried"},
		{"hostSelector", "spec:", "spec:\n  hostSelector: {}", "", "hostSelector"},
		{"Mnt as the scope", "namespace: Pid", "namespace: Mnt", "", "Mnt"},
		{"NotifyEnforcer", "Sigkill", "NotifyEnforcer", "", "NotifyEnforcer"},
		{"Override at a kprobe", "action: Sigkill", "{action: Override, argError: -1}", "", "Override"},
		{"Sigkill and NoPost", "- action: Sigkill", "- action: Sigkill\n            - action: NoPost", "", "NoPost"},
		{"Postfix too long", filter, `{index: 0, operator: Postfix, values: ["` + strings.Repeat("x", 128) + `"]}`, "", "longer than 127"},
		{"Prefix too long", "/x/", "/" + strings.Repeat("x", 256), "", "longer than 256"},
		{"empty Prefix", `["/x/"]`, `[""]`, "", "empty"},
		{"no values", `["/x/"]`, `[]`, "", "0 values"},
		{"too many values", `["/x/"]`, values(301), "", "301 values"},
		{"six filters", "            - " + filter + "\n", strings.Repeat("            - "+filter+"\n", 6), "", "6 filters"},
		{"nine Prefix filters", "        - matchArgs:\n            - " + filter + "\n",
			strings.Repeat("        - matchArgs:\n"+strings.Repeat("            - "+filter+"\n", 2)+scope+"          matchActions: [{action: Sigkill}]\n", 4) +
				"        - matchArgs:\n            - " + filter + "\n", "", "more filters"},
		{"six selectors", "        - matchArgs:", strings.Repeat("        - matchArgs: [{index: 0, operator: Equal, values: [a]}]\n"+scope+"          matchActions: [{action: Sigkill}]\n", 5) + "        - matchArgs:", "", "6 selectors"},
		{"17 tags", "syscall: false", "syscall: false\n      tags: [" + strings.Repeat("a, ", 17) + "]", "", "tags"},
		{"long message", "syscall: false", "syscall: false\n      message: " + strings.Repeat("a", 257), "", "message"},
		{"the task's cgroup before v1.6", "selectors:", "data:\n        - {index: 0, type: string, source: current_task, resolve: cgroups.dfl_cgrp.kn.name}\n      selectors:", "v1.5.0", "v1.6"},
		{"callNotFound before v1.5", "syscall: false", "syscall: false\n      ignore: {callNotFound: true}", "v1.4.0", "callNotFound"},
		{"without a namespace", "kind: TracingPolicy", "kind: TracingPolicyNamespaced", "", "namespace"},
		{"older release", "", "", "v1.2.0", "v1.3.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(base, tt.old, tt.now, 1)
			if tt.old != "" && !strings.Contains(base, tt.old) {
				t.Fatal("the test changes nothing")
			}
			if tt.name == "two documents" {
				text += "---\n" + base
			}
			err := Check([]byte(text), tt.release)
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}

// Operators that load or are refused by type, as the facts have it.
func TestCheckKnowsOperatorsByType(t *testing.T) {
	const text = `apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata: {name: x}
spec:
  kprobes:
    - call: security_socket_connect
      syscall: false
      args: [{index: 1, type: TYPE}]
      selectors:
        - matchArgs: [{index: 1, operator: OPERATOR, values: ["x"]}]
          matchActions: [{action: Post}]
`
	for pair, ok := range map[string]bool{
		"sockaddr_un Equal": true, "sockaddr_un Prefix": true, "sockaddr_un Postfix": false, "sockaddr_un Family": true,
		"sockaddr NotSAddr": true, "sockaddr Equal": false, "sockaddr NotEqual": false, "sockaddr NotDAddr": false,
	} {
		words := strings.Fields(pair)
		err := Check([]byte(strings.NewReplacer("TYPE", words[0], "OPERATOR", words[1]).Replace(text)), "")
		if (err == nil) != ok {
			t.Errorf("%s: %v", pair, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(base))
	f.Add([]byte("spec: &a [*a]\n---\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := Check(text, ""); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}
