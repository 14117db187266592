package baseline

import (
	"strconv"
	"strings"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// feature is a kind of thing that an agent is known by.
type feature uint8

// The features, in the order in which an event is judged by them.
const (
	tools feature = iota
	binaries
	destinations
	files
	types
	features // how many there are
)

var featureNames = [features]string{"tool", "binary", "destination", "file", "type"}

func (f feature) String() string { return featureNames[f] }

// severity of something new. A program, a destination or a tool that an agent
// never used is what an attack needs; new folders and types come with new work.
func (f feature) severity() event.Severity {
	switch f {
	case tools, binaries, destinations:
		return event.SeverityMedium
	default:
		return event.SeverityLow
	}
}

// rated says whether the items' rates are known as well. The others would tell of
// the same burst again.
func (f feature) rated() bool { return f == tools || f == destinations || f == types }

// found is an item of an event.
type found struct {
	feature feature
	item    []byte
}

// finder finds the items of events, in memory of its own.
type finder struct {
	depth int
	buf   []byte
	found [features + 1]found // a rename has two files
	n     int
}

func newFinder(depth int) *finder {
	return &finder{depth: depth, buf: make([]byte, 0, (int(features)+1)*2*maxItem)}
}

// find gives the items of ev; they are valid until the next call.
func (f *finder) find(ev *event.Event) []found {
	f.buf, f.n = f.buf[:0], 0
	if t := ev.Tool; t != nil && t.Name != "" {
		f.add(tools, appendText(f.buf, t.Name))
	}
	if program := programOf(ev); program != "" {
		f.add(binaries, appendProgram(f.buf, program))
	}
	if n := ev.Network; n != nil && outgoing(ev) {
		f.add(destinations, appendDestination(f.buf, n))
	}
	if file := ev.File; file != nil && file.Op != "exec" {
		f.file(file.Op, file.Path, ev.Agent.ID)
		f.file(file.Op, file.NewPath, ev.Agent.ID)
	}
	f.add(types, appendText(f.buf, ev.Type))
	return f.found[:f.n]
}

// add takes what was appended to the buffer as an item; nothing is none.
func (f *finder) add(of feature, buf []byte) {
	from := len(f.buf)
	if len(buf) == from {
		return
	}
	buf = tidy(buf, from)
	f.found[f.n] = found{of, buf[from:len(buf):len(buf)]}
	f.buf, f.n = buf, f.n+1
}

func (f *finder) file(op, path, agent string) {
	if path == "" {
		return
	}
	buf := f.buf
	switch op {
	case "connect": // a unix socket: each is a destination of its own
		f.add(files, appendProgram(append(buf, "connect "...), path))
		return
	case "write", "unlink", "rename", "truncate", "link", "setattr":
		buf = append(buf, "write "...)
	default:
		buf = append(buf, "read "...)
	}
	f.add(files, appendArea(buf, path, agent, f.depth))
}

// programOf is the program that was started or that acted. An exit says nothing
// that the start has not said.
func programOf(ev *event.Event) string {
	switch {
	case ev.Type == event.TypeProcessExit || ev.Type == event.TypeProcessLoader:
		return ""
	case ev.File != nil && ev.File.Op == "exec":
		return ev.File.Path
	case ev.Process != nil:
		return ev.Process.Exe
	default:
		return ""
	}
}

// outgoing says whether the connection of ev leaves the agent.
func outgoing(ev *event.Event) bool {
	return ev.Type != event.TypeGatewayExternalBind && !strings.Contains(ev.Hook, "accept")
}

// firstEphemeral is the first port that Linux gives to those who ask for none
// (ip_local_port_range): on loopback it says nothing of who listens.
const firstEphemeral = 32768

// appendDestination appends "name:port", else "address:port".
func appendDestination(dst []byte, n *event.Network) []byte {
	switch {
	case n.Domain != "":
		for i := range min(len(n.Domain), maxItem-len(":65535")) {
			c := n.Domain[i]
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
		}
		if dst[len(dst)-1] == '.' {
			dst = dst[:len(dst)-1]
		}
	case n.DstIP.Is6():
		dst = append(n.DstIP.AppendTo(append(dst, '[')), ']')
	case n.DstIP.IsValid():
		dst = n.DstIP.AppendTo(dst)
	default:
		return dst
	}
	switch {
	case n.DstPort == 0:
		return dst
	case n.DstIP.IsLoopback() && n.DstPort >= firstEphemeral:
		return append(dst, ":*"...)
	default:
		return strconv.AppendUint(append(dst, ':'), uint64(n.DstPort), 10)
	}
}

func appendText(dst []byte, s string) []byte { return append(dst, s[:min(len(s), maxItem)]...) }
