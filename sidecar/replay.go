package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/receiver"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon/replay"
)

// tokenVariable holds the ingest token of `g0 replay`: an argument would stand in
// the process list.
const tokenVariable = "G0_TOKEN"

type replayFlags struct {
	to, socket, policies, url string
	speed                     float64
}

func replayCmd() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay FILE --to tetragon|events|falco",
		Short: "Play recorded events as their source would send them",
		Long: "Play a file of JSON lines. --to tetragon serves it as Tetragon's gRPC server on a unix socket until it is\n" +
			"interrupted; --to events and --to falco post each line to a g0, with the ingest token in $" + tokenVariable + ".",
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch f.to {
			case "tetragon":
				return serveTetragon(cmd, args[0], f)
			case "events", "falco":
				return postLines(cmd, args[0], f)
			}
			return usageError{fmt.Errorf("--to %q is none of tetragon, events, falco", f.to)}
		},
	}
	cmd.Flags().StringVar(&f.to, "to", "", "what to play: `KIND` tetragon, events or falco")
	cmd.Flags().StringVar(&f.socket, "socket", "tetragon.sock", "unix socket `PATH` to serve on (tetragon)")
	cmd.Flags().StringVar(&f.policies, "policies", "", "`FILE` of `tetra tracingpolicy list -o json` to answer with (tetragon)")
	cmd.Flags().Float64Var(&f.speed, "speed", 0, "1 as recorded, 10 ten times as fast, 0 without waiting (tetragon)")
	cmd.Flags().StringVar(&f.url, "url", "http://"+receiver.DefaultConfig.Address, "`URL` of the g0 to post to (events, falco)")
	return cmd
}

func serveTetragon(cmd *cobra.Command, file string, f replayFlags) error {
	opt := replay.Options{Files: []string{file}, Speed: f.speed, HoldOpen: true}
	if f.policies != "" {
		b, err := os.ReadFile(f.policies)
		if err != nil {
			return err
		}
		if opt.Policies, err = replay.ParsePolicies(b); err != nil {
			return err
		}
	}
	if err := removeStale(f.socket); err != nil {
		return err
	}
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	opt.Listen = l
	server, err := replay.New(opt)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "serving %d events of %s on unix://%s\n", server.Events(), file, f.socket)
	return server.Run(cmd.Context())
}

// removeStale removes a socket that nobody listens on any more.
func removeStale(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return nil // Listen says what is wrong, if anything is
	}
	if c, err := net.Dial("unix", path); err == nil {
		return errors.Join(fmt.Errorf("another server listens on %s", path), c.Close())
	}
	return os.Remove(path)
}

// maxLine bounds one recorded event in bytes: what the receiver takes.
const maxLine = 4 << 20

// postLines posts one line a request, as the plugin and Falco do.
func postLines(cmd *cobra.Command, file string, f replayFlags) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	p := poster{
		client: &http.Client{Timeout: 10 * time.Second},
		url:    strings.TrimRight(f.url, "/") + "/" + f.to,
		token:  config.Secret(os.Getenv(tokenVariable)),
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	var posted, refused int
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		posted++
		if err := p.post(cmd.Context(), line); err != nil {
			var no refusedError
			if !errors.As(err, &no) {
				return err
			}
			refused++
			fmt.Fprintf(cmd.ErrOrStderr(), "event %d: %v\n", posted, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d events posted, %d refused\n", posted, refused)
	if refused > 0 {
		return fmt.Errorf("%d of %d events were refused", refused, posted)
	}
	return nil
}

// poster posts events to a g0.
type poster struct {
	client *http.Client
	url    string
	token  config.Secret
}

// refusedError is an answer other than 200.
type refusedError struct{ status, body string }

func (e refusedError) Error() string { return fmt.Sprintf("%s: %s", e.status, e.body) }

func (p poster) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token.Reveal())
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("post: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusedError{resp.Status, strings.TrimSpace(string(answer))}
	}
	return nil
}
