package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon/replay"
)

// stage is everything around the g0 under show: its process, the Tetragon that
// it subscribes to, and the webhook that takes its messages.
type stage struct {
	dir, exe string
	story    *story

	address  string
	tokens   map[string]string // environment of the pipeline
	webhook  *webhook
	redis    *redisServer // nil: there is none on this machine
	client   http.Client
	g0       *exec.Cmd
	log      *os.File
	stopPlay []func()

	posted, answered map[string]int // by path
	tetragonSent     int
	learned          []byte // what g0 baseline show prints before the attack
	crash            crash
}

// crash is what the kill -9 met and how the restart went.
type crash struct {
	at       time.Time
	answered int // events answered with 200 until then
	downFor  time.Duration
}

// open makes the tokens, the webhook and the first g0.
func (s *stage) open(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.address = l.Addr().String()
	l.Close() // the g0 takes the port; nobody else is quick enough to
	if s.webhook, err = newWebhook(); err != nil {
		return err
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "g0.log")); err != nil {
		return err
	}
	if s.redis, err = newRedis(s.dir); err != nil {
		return err
	}
	text := strings.Replace(pipeline, copyInRedis, "", 1)
	if s.redis != nil {
		text = pipeline
		if err := s.redis.start(ctx); err != nil {
			return err
		}
	}
	s.posted, s.answered = map[string]int{}, map[string]int{}
	s.tokens = map[string]string{
		"DEMO_DIR": s.dir, "DEMO_ADDRESS": s.address, "DEMO_WEBHOOK": s.webhook.url,
		"DEMO_OPERATOR_TOKEN": rand.Text(), "DEMO_PLUGIN_TOKEN": rand.Text(), "DEMO_FALCO_TOKEN": rand.Text(),
	}
	if err := os.WriteFile(filepath.Join(s.dir, "pipeline.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	return s.start(ctx)
}

// serveTetragon plays lines on the socket that g0 subscribes to, one each pace, in
// the place of what played there before.
func (s *stage) serveTetragon(ctx context.Context, pace time.Duration, lines [][]byte) error {
	path := filepath.Join(s.dir, "tetragon.sock")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	policies, err := replay.ParsePolicies(s.story.policies)
	if err != nil {
		return err
	}
	server, err := replay.New(replay.Options{Listen: l, Lines: lines, Policies: policies, Pace: pace, HoldOpen: true})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Run(ctx) }() // ends with ctx; what it did not send is found missing
	s.stopPlay = append(s.stopPlay, func() { cancel(); <-ended })
	s.tetragonSent += len(lines)
	return nil
}

// start runs a g0 on the demo's state folder and waits until it is healthy.
func (s *stage) start(ctx context.Context) error {
	s.g0 = exec.CommandContext(ctx, s.exe, "run", "--pipeline", filepath.Join(s.dir, "pipeline.yaml"), "--state", s.state())
	s.g0.Env = os.Environ()
	for k, v := range s.tokens {
		s.g0.Env = append(s.g0.Env, k+"="+v)
	}
	s.g0.Stderr, s.g0.Stdout = s.log, s.log
	s.g0.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a killed demo leaves nothing behind
	if err := s.g0.Start(); err != nil {
		return err
	}
	return s.until(ctx, func() (bool, error) {
		var h health
		return s.get(ctx, "/health", &h) == nil, nil
	})
}

// state is g0's state folder.
func (s *stage) state() string { return filepath.Join(s.dir, "state") }

// baseline is what `g0 baseline show` prints of an agent.
func (s *stage) baseline(ctx context.Context, agent string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, s.exe, "baseline", "show", agent, "--state", s.state()).Output()
	if err != nil {
		return nil, fmt.Errorf("g0 baseline show: %w", err)
	}
	return out, nil
}

// kill ends the g0 as a power cut would.
func (s *stage) kill() {
	_ = s.g0.Process.Signal(syscall.SIGKILL)
	_ = s.g0.Wait() // "signal: killed" is what was asked for
}

// stop ends the g0 as systemd would, if it runs.
func (s *stage) stop() {
	if s.g0 != nil && s.g0.ProcessState == nil {
		_ = s.g0.Process.Signal(syscall.SIGTERM)
		_ = s.g0.Wait() // what it should have done is looked at
	}
}

// close ends what runs.
func (s *stage) close() {
	s.stop()
	if s.redis != nil {
		s.redis.close()
	}
	for _, stop := range s.stopPlay {
		stop()
	}
	if s.webhook != nil {
		s.webhook.close()
	}
	if s.log != nil {
		s.log.Close()
	}
}

// post posts one event and counts whether it was answered with 200.
func (s *stage) post(ctx context.Context, path, token string, body []byte) error {
	s.posted[path]++
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.tokens[token])
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 1024)) // only for the error below
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s: %s", path, resp.Status, answer)
	}
	s.answered[path]++
	return nil
}

func (s *stage) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.tokens["DEMO_OPERATOR_TOKEN"])
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

// until asks ready ten times a second until it says so.
func (s *stage) until(ctx context.Context, ready func() (bool, error)) error {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		if ok, err := ready(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited too long; g0 said:\n%s", s.lastWords())
		case <-t.C:
		}
	}
}

// lastWords is the end of g0's log.
func (s *stage) lastWords() string {
	b, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}
