package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/guard0-ai/g0-sidecar/pipeline/stage/baseline"
	"github.com/guard0-ai/g0-sidecar/pipeline/store"
)

// copyInRedis is what g0_baseline of the demo's pipeline has where there is a
// redis-server.
const copyInRedis = `        redis:
          addresses: [ "unix://${DEMO_DIR}/redis.sock" ]
`

// redisServer is a real redis-server on a socket in the demo's folder. It writes
// nothing to disk: started again, it is empty.
type redisServer struct {
	exe, dir string
	process  *exec.Cmd
	client   *store.Redis
}

// newRedis starts nothing; nil: there is no redis-server here.
func newRedis(dir string) (*redisServer, error) {
	exe, err := exec.LookPath("redis-server")
	if errors.Is(err, exec.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &redisServer{exe: exe, dir: dir}
	cfg := store.DefaultRedis
	cfg.Addresses = []string{"unix://" + r.socket()}
	r.client, err = store.NewRedis(cfg)
	return r, err
}

func (r *redisServer) socket() string { return filepath.Join(r.dir, "redis.sock") }

// start starts the server. It answers a moment later.
func (r *redisServer) start(ctx context.Context) error {
	r.process = exec.CommandContext(ctx, r.exe, "--port", "0", "--unixsocket", r.socket(), "--dir", r.dir,
		"--save", "", "--appendonly", "no", "--logfile", filepath.Join(r.dir, "redis.log"))
	r.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return r.process.Start()
}

// kill ends the server at once, with all that it holds.
func (r *redisServer) kill() {
	_ = r.process.Process.Signal(syscall.SIGKILL)
	_ = r.process.Wait() // "signal: killed" is what was asked for
}

// holds says whether the server answers and has a baseline of the agent.
func (r *redisServer) holds(ctx context.Context, agent string) bool {
	_, err := r.client.Get(ctx, agent)
	return err == nil
}

func (r *redisServer) close() {
	_ = r.client.Close()
	if r.process != nil && r.process.ProcessState == nil {
		r.kill()
	}
}

// copied is how many baselines the server has, if each is, to the byte, that of
// the state folder of a g0 which has stopped, and there are no others.
func (r *redisServer) copied(ctx context.Context, stateFolder string) (n int, err error) {
	local, err := store.OpenEmbedded(filepath.Join(stateFolder, "state.db"), baseline.Name)
	if err != nil {
		return 0, err
	}
	defer local.Close()
	here, err := bodies(ctx, local)
	if err != nil {
		return 0, err
	}
	there, err := bodies(ctx, r.client)
	if err != nil {
		return 0, err
	}
	if !slices.EqualFunc(here, there, func(a, b store.Record) bool { return a.Key == b.Key && bytes.Equal(a.Body, b.Body) }) {
		return 0, fmt.Errorf("%d baselines here, %d in Redis, or not the same", len(here), len(there))
	}
	return len(here), nil
}

// bodies are all records of a store, in the order of their keys.
func bodies(ctx context.Context, s store.Store) (out []store.Record, err error) {
	list, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, meta := range list {
		rec, err := s.Get(ctx, meta.Key)
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}
