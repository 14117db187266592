package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// target NAME STATUS [BODY] starts a webhook that answers so, and puts its URL into
// $NAME and the last body that it got into the file NAME.json.
func target(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: target NAME STATUS [BODY]")
	}
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	file := ts.MkAbs(args[0] + ".json")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err == nil {
			err = os.WriteFile(file, append(b, '\n'), 0o600)
		}
		if err != nil {
			status = http.StatusInternalServerError
		}
		w.Header().Set("Location", r.URL.String()+"again")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.Join(args[2:], " ")) // g0 may have hung up
	}))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}
