package storetest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// wait is how long a server may take to do what a test waits for.
const wait = 20 * time.Second

// Server is a real redis-server of a test. It listens on a socket in the test's
// folder or on loopback, writes nothing to disk unless asked to, and ends with the
// test.
type Server struct {
	// Address as a [store.RedisConfig] takes it.
	Address string

	t     testing.TB
	args  []string
	dir   string
	log   string
	cmd   *exec.Cmd
	gone  chan struct{} // closed when the process ended
	admin *redis.Options
}

// Redis starts a server on a socket, with more arguments if given.
func Redis(t testing.TB, args ...string) *Server {
	t.Helper()
	dir := folder(t)
	path := filepath.Join(dir, "r.sock")
	s := &Server{
		Address: "unix://" + path, t: t, dir: dir, admin: &redis.Options{Addr: path},
		args: append([]string{"--port", "0", "--unixsocket", path}, args...),
	}
	s.Start()
	return s
}

// RedisTCP starts a server on a free port of 127.0.0.1.
func RedisTCP(t testing.TB, args ...string) *Server {
	t.Helper()
	address := freeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	s := &Server{
		Address: address, t: t, dir: folder(t), admin: &redis.Options{Addr: address},
		args: append([]string{"--port", port, "--bind", "127.0.0.1"}, args...),
	}
	s.Start()
	return s
}

// TLS starts a server that takes only TLS, with a client certificate of that
// authority, and gives its address.
func TLS(t testing.TB, certFile, keyFile, caFile string) string {
	t.Helper()
	address := freeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	Redis(t, "--bind", "127.0.0.1", "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", caFile)
	return address
}

// folder is a temporary one whose name is short enough for a socket.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "g0redis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// freeAddress is one of loopback that nobody listens on now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Start starts the server; after [Server.Kill] it is a new one, and empty. It
// returns when the server answers.
func (s *Server) Start() {
	s.t.Helper()
	s.launch("redis-server", append([]string{"--save", "", "--appendonly", "no", "--dir", s.dir, "--logfile", ""}, s.args...)...)
	c := s.client()
	defer c.Close()
	s.Until("it answers", func(ctx context.Context) bool {
		// Any answer: it may want a password.
		err := c.Ping(ctx).Err()
		return err == nil || redis.HasErrorPrefix(err, "NOAUTH") || redis.HasErrorPrefix(err, "WRONGPASS")
	})
}

// launch runs a program until it is killed or the test ends.
func (s *Server) launch(name string, args ...string) {
	s.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			s.t.Fatalf("%s is missing", name)
		}
		s.t.Skipf("%s is missing", name)
	}
	out := &bytes.Buffer{}
	s.cmd = exec.Command(path, args...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	// It ends with the test's process, however that ends.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	gone := make(chan struct{})
	s.gone = gone
	cmd := s.cmd
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		s.log = out.String()
		close(gone)
	}()
	s.t.Cleanup(s.Kill)
}

// client is an operator's, beside what is tested.
func (s *Server) client() *redis.Client {
	opt := *s.admin
	opt.DialTimeout, opt.ReadTimeout, opt.MaxRetries = time.Second, time.Second, -1
	return redis.NewClient(&opt)
}

// Do runs commands as an operator would; each must succeed.
func (s *Server) Do(commands ...string) {
	s.t.Helper()
	c := s.client()
	defer c.Close()
	for _, command := range commands {
		var args []any
		for word := range strings.FieldsSeq(command) {
			args = append(args, word)
		}
		if err := c.Do(s.t.Context(), args...).Err(); err != nil && err != redis.Nil {
			s.t.Fatalf("%s: %v", command, err)
		}
	}
}

// Client is an operator's client, which ends with the test.
func (s *Server) Client() *redis.Client {
	c := s.client()
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Kill ends the process at once.
func (s *Server) Kill() {
	s.signal(syscall.SIGKILL)
	<-s.gone
}

// Freeze stops the process, which keeps its connections; Thaw lets it go on.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw undoes Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	_ = s.cmd.Process.Signal(sig) // it may have ended
}

// Until waits until ok says so; the test fails with the server's log where it
// does not.
func (s *Server) Until(what string, ok func(context.Context) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), wait)
	defer cancel()
	for !ok(ctx) {
		select {
		case <-s.gone:
			s.t.Fatalf("%s ended before %s:\n%s", s.cmd.Path, what, s.log)
		case <-ctx.Done():
			s.Kill()
			s.t.Fatalf("after %s not yet: %s\n%s", wait, what, s.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Cluster starts a cluster of n masters on loopback.
func Cluster(t testing.TB, n int) []*Server {
	t.Helper()
	const slots = 16384
	var nodes []*Server
	for range n {
		_, bus, _ := strings.Cut(freeAddress(t), ":")
		nodes = append(nodes, RedisTCP(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000"))
	}
	host, port, _ := strings.Cut(nodes[0].Address, ":")
	bus := nodes[0].args[len(nodes[0].args)-3]
	for i, node := range nodes {
		node.Do(fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", i*slots/n, (i+1)*slots/n-1), fmt.Sprintf("CLUSTER SET-CONFIG-EPOCH %d", i+1))
		if i > 0 {
			node.Do(fmt.Sprintf("CLUSTER MEET %s %s %s", host, port, bus))
		}
	}
	for _, node := range nodes {
		c := node.Client()
		node.Until("the cluster is whole", func(ctx context.Context) bool {
			info, err := c.ClusterInfo(ctx).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", n))
		})
	}
	return nodes
}

// SentinelMaster is the name of the master that [Sentinel] watches.
const SentinelMaster = "g0"

// Sentinel starts a master, a replica of it and a Sentinel that watches them.
func Sentinel(t testing.TB) (sentinel, master, replica *Server) {
	t.Helper()
	master = RedisTCP(t)
	host, port, _ := strings.Cut(master.Address, ":")
	replica = RedisTCP(t, "--replicaof", host+" "+port)
	r := replica.Client()
	replica.Until("it replicates", func(ctx context.Context) bool {
		info, err := r.Info(ctx, "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	address := freeAddress(t)
	_, own, _ := strings.Cut(address, ":")
	dir := folder(t)
	file := filepath.Join(dir, "sentinel.conf")
	conf := fmt.Sprintf(`port %s
bind 127.0.0.1
dir %s
sentinel monitor %s %s %s 1
sentinel down-after-milliseconds %[3]s 300
sentinel failover-timeout %[3]s 3000
`, own, dir, SentinelMaster, host, port)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel = &Server{Address: address, t: t, dir: dir, admin: &redis.Options{Addr: address}}
	sentinel.launch("redis-server", file, "--sentinel")
	c := redis.NewSentinelClient(&redis.Options{Addr: address})
	defer c.Close()
	sentinel.Until("it knows the replica", func(ctx context.Context) bool {
		replicas, err := c.Replicas(ctx, SentinelMaster).Result()
		return err == nil && len(replicas) == 1
	})
	return sentinel, master, replica
}
