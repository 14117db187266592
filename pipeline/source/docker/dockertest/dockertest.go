// Package dockertest runs a Docker of its own for a test: nothing of the
// machine's is touched but the kernel.
package dockertest

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Image has a static busybox under its usual names, and sleeps.
const Image = "g0-test:1"

const (
	startTime = 30 * time.Second
	stopTime  = 20 * time.Second
)

// applets are the programs of [Image].
var applets = []string{"sh", "sleep", "cat", "touch", "wget", "nc"}

// Docker is a dockerd with a network, mounts and folder of its own. Its methods
// fail the test.
type Docker struct {
	// Address of its API, "unix:///…".
	Address string
	// Client of it.
	Client *client.Client

	t     testing.TB
	dir   string
	flags []string
	cmd   *exec.Cmd
}

// Start runs a Docker that ends with the test, and that leaves the packet filter
// of its network alone unless flags say otherwise. Where it cannot run the test
// is skipped, or under CI=true fails.
func Start(t testing.TB, flags ...string) *Docker {
	t.Helper()
	Need(t, "dockerd", "containerd", "runc", "busybox")
	if len(flags) == 0 {
		flags = []string{"--iptables=false", "--ip6tables=false"}
	}
	// Not t.TempDir: a unix socket's path has room for 100 characters.
	dir, err := os.MkdirTemp("", "g0docker")
	if err != nil {
		t.Fatal(err)
	}
	d := &Docker{Address: "unix://" + filepath.Join(dir, "docker.sock"), t: t, dir: dir, flags: flags}
	t.Cleanup(func() {
		d.Stop()
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove what dockerd left: %v", err)
		}
	})
	if d.Client, err = client.New(client.WithHost(d.Address)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Client.Close() }) // it always gives nil
	if err := os.WriteFile(d.path("daemon.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Restart()
	d.Import(Image)
	return d
}

// Need skips the test, or under CI=true fails it, unless it runs as root and the
// tools are there.
func Need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, tool)
		}
	}
	if os.Getuid() != 0 {
		missing(t, "root")
	}
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s", what)
	}
	t.Skipf("missing: %s", what)
}

func (d *Docker) path(name string) string { return filepath.Join(d.dir, name) }

// Restart starts it, after [Docker.Stop] again.
func (d *Docker) Restart() {
	d.t.Helper()
	d.Stop()
	log, err := os.OpenFile(d.path("log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close() // the process has its own
	d.cmd = exec.Command("dockerd", append([]string{
		"--host", d.Address, "--config-file", d.path("daemon.json"),
		"--data-root", d.path("data"), "--exec-root", d.path("exec"), "--pidfile", d.path("pid"),
		"--storage-driver", "vfs",
	}, d.flags...)...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	// Its bridge and its mounts are seen by nobody else, and go away with it.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		if _, err = d.Client.Ping(ctx, client.PingOptions{}); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			d.t.Fatalf("dockerd does not answer: %v; its log ends with\n%s", err, d.log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *Docker) log() []byte {
	b, err := os.ReadFile(d.path("log"))
	if err != nil {
		return []byte(err.Error())
	}
	return b[max(0, len(b)-4000):]
}

// Network is the path of the network namespace that dockerd runs in.
func (d *Docker) Network() string {
	return fmt.Sprintf("/proc/%d/ns/net", d.cmd.Process.Pid)
}

// Signal sends dockerd a signal, such as SIGSTOP.
func (d *Docker) Signal(s syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
}

// Stop ends it and its containers, if it runs.
func (d *Docker) Stop() {
	d.t.Helper()
	if d.cmd == nil {
		return
	}
	cmd := d.cmd
	d.cmd = nil
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.t.Error(err)
	}
	kill := time.AfterFunc(stopTime, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !kill.Stop() {
		d.t.Errorf("dockerd did not end: %v; its log ends with\n%s", err, d.log())
	}
}

// Import makes an image with what [Image] has, and with changes such as "LABEL a=b".
func (d *Docker) Import(name string, changes ...string) {
	d.t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		d.t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	err = w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))})
	if err == nil {
		_, err = w.Write(program)
	}
	for _, name := range applets {
		if err == nil {
			err = w.WriteHeader(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox"})
		}
	}
	if err = errors.Join(err, w.Close()); err != nil {
		d.t.Fatal(err)
	}
	answer, err := d.Client.ImageImport(context.Background(),
		client.ImageImportSource{Source: &layer, SourceName: "-"}, name, client.ImageImportOptions{Changes: changes})
	if err != nil {
		d.t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, answer)
	if err = errors.Join(err, answer.Close()); err != nil {
		d.t.Fatal(err)
	}
}

// Box says how a container is made. The zero value has a name of Docker's
// choice, no network, and sleeps.
type Box struct {
	Name    string
	Image   string // empty: [Image]
	Labels  map[string]string
	Command []string // empty: sleep
	Network string   // "bridge" gives it an address; empty: "none"
}

// Run starts a container and gives its id.
func (d *Docker) Run(b Box) string {
	d.t.Helper()
	id := d.Create(b)
	if _, err := d.Client.ContainerStart(context.Background(), id, client.ContainerStartOptions{}); err != nil {
		d.t.Fatalf("start %s: %v", b.Name, err)
	}
	return id
}

// Create makes a container and gives its id.
func (d *Docker) Create(b Box) string {
	d.t.Helper()
	if len(b.Command) == 0 {
		b.Command = []string{"sleep", "1000"}
	}
	if b.Network == "" {
		b.Network = "none"
	}
	made, err := d.Client.ContainerCreate(context.Background(), client.ContainerCreateOptions{
		Name: b.Name,
		Config: &container.Config{
			Image: cmp.Or(b.Image, Image), Cmd: b.Command, Labels: b.Labels, Env: []string{"PATH=/bin"},
			StopSignal: "SIGKILL", // it sleeps as pid 1, which minds no other
		},
		HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(b.Network)},
	})
	if err != nil {
		d.t.Fatalf("create %s: %v", b.Name, err)
	}
	return made.ID
}

// Rename gives a container another name.
func (d *Docker) Rename(id, name string) {
	d.t.Helper()
	if _, err := d.Client.ContainerRename(context.Background(), id, client.ContainerRenameOptions{NewName: name}); err != nil {
		d.t.Fatal(err)
	}
}

// Remove ends a container and removes it.
func (d *Docker) Remove(id string) {
	d.t.Helper()
	if _, err := d.Client.ContainerRemove(context.Background(), id, client.ContainerRemoveOptions{Force: true}); err != nil {
		d.t.Fatal(err)
	}
}
