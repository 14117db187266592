package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds every wait for something that a process does, stopTime its end
// on SIGTERM.
const (
	patience = 30 * time.Second
	stopTime = 10 * time.Second
)

// TestScripts runs testdata/script: what each command does, as a user sees it. In
// every script $G0_ADDRESS is a free address and $URL its URL, $OTHER_ADDRESS is
// another; $HOME is empty, $REPO this project.
func TestScripts(t *testing.T) {
	repo, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Deadline:            time.Now().Add(4 * patience),
		Setup: func(env *testscript.Env) error {
			address, err := freeAddress()
			other, err2 := freeAddress()
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("G0_ADDRESS", address)
			env.Setenv("URL", "http://"+address)
			env.Setenv("OTHER_ADDRESS", other)
			env.Setenv("HOME", home)
			env.Setenv("REPO", repo)
			return errors.Join(err, err2, os.Mkdir(home, 0o700))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "get": get, "post": post, "target": target, "tetragon": fakeTetragon, "until": until, "term": term,
		},
	})
}

// exits CODE PROGRAM [ARG...] runs a program that must exit with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("run: %v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exits with %d, want %d", got, want)
	}
}

// get URL [TOKEN] asks; its output is the status and the body.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: get URL [TOKEN]")
	}
	answer, err := request(http.MethodGet, args[0], "", token(args[1:]))
	ts.Check(err)
	fmt.Fprint(ts.Stdout(), answer)
}

// post URL FILE [TOKEN] posts a file; its output is the status and the body.
func post(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: post URL FILE [TOKEN]")
	}
	answer, err := request(http.MethodPost, args[0], ts.ReadFile(args[1]), token(args[2:]))
	ts.Check(err)
	fmt.Fprint(ts.Stdout(), answer)
}

// until REGEXP FILE|URL [TOKEN] waits until a file, or the answer of a URL as get
// shows it, matches. The file need not be there yet, nor anybody listen.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: until REGEXP FILE|URL [TOKEN]")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	look := func() (string, error) {
		if strings.HasPrefix(args[1], "http://") {
			return request(http.MethodGet, args[1], "", token(args[2:]))
		}
		b, err := os.ReadFile(ts.MkAbs(args[1]))
		return string(b), err
	}
	var got string
	matches := false
	soon(func() bool {
		died := slices.ContainsFunc(ts.BackgroundCmds(), ended)
		got, err = look()
		matches = err == nil && want.MatchString(got)
		return matches || died // then it is for ever as it is
	})
	if !matches {
		ts.Fatalf("%s never matched %s (%v); it is\n%s", args[1], want, err, got)
	}
}

// term tells all background programs to end, as an init system does, and waits
// until they have: use wait for what they said.
func term(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: term")
	}
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
	for _, cmd := range ts.BackgroundCmds() {
		if !within(stopTime, func() bool { return ended(cmd) }) {
			ts.Fatalf("%s does not end on SIGTERM", strings.Join(cmd.Args, " "))
		}
	}
}

// ended says whether a program ended and was waited for.
func ended(cmd *exec.Cmd) bool {
	return errors.Is(cmd.Process.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// soon waits until ok says so, and says whether it did.
func soon(ok func() bool) bool { return within(patience, ok) }

func within(limit time.Duration, ok func() bool) bool {
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for end := time.Now().Add(limit); time.Now().Before(end); <-t.C {
		if ok() {
			return true
		}
	}
	return ok()
}

func token(args []string) string { return strings.Join(args, "") }

// client keeps no connection, so that a g0 that ends does not wait for it.
var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// request gives the answer as "STATUS\nBODY".
func request(method, url, body, token string) (string, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(resp.Body)
	return resp.Status + "\n" + string(b), cmp.Or(err, resp.Body.Close())
}
