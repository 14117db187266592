package main

import (
	"os"
	"path/filepath"
	"strings"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon/policies/policytest"
)

// fakeTetragon is the command tetragon [NAME...]: it starts a Tetragon that has
// policies of these names, and sets $TETRAGON to its address. What is called
// ...broken... it cannot load.
func fakeTetragon(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: tetragon [NAME...]")
	}
	dir, err := os.MkdirTemp("", "g0") // short: a socket's path has 107 bytes
	ts.Check(err)
	s := &policytest.Server{LoadError: func(name string) string {
		if strings.Contains(name, "broken") {
			return `kprobe spec pre-validation failed: validation error: call "x": not found`
		}
		return ""
	}}
	for _, name := range args {
		s.Put(&api.TracingPolicyStatus{
			Name: name, State: api.TracingPolicyState_TP_STATE_ENABLED, Mode: api.TracingPolicyMode_TP_MODE_ENFORCE,
		})
	}
	address, stop, err := s.Start(filepath.Join(dir, "t.sock"))
	ts.Check(err)
	ts.Defer(func() {
		ts.Check(stop())
		ts.Check(os.RemoveAll(dir))
	})
	ts.Setenv("TETRAGON", address)
}
