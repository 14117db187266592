package event

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cilium/tetragon/api/v1/tetragon"
)

// Bits of the mask of security_file_permission (linux/fs.h).
const (
	mayWrite = 0x2
	mayRead  = 0x4
)

// probeArgs is what the arguments of a hook say about files and connections.
type probeArgs struct {
	paths    []string // of path, file and binprm arguments, in order
	socket   string   // path of a unix socket
	strings  []string
	mask     int32
	network  *Network
	unparsed []string
	unknown  bool // an argument was of no known kind
}

func readArgs(args []*tetragon.KprobeArgument, unknown map[int]string) probeArgs {
	var out probeArgs
	for i, arg := range args {
		switch a := arg.GetArg().(type) {
		case *tetragon.KprobeArgument_PathArg:
			out.paths = append(out.paths, a.PathArg.GetPath())
		case *tetragon.KprobeArgument_FileArg:
			out.paths = append(out.paths, a.FileArg.GetPath())
		case *tetragon.KprobeArgument_LinuxBinprmArg:
			out.paths = append(out.paths, a.LinuxBinprmArg.GetPath())
		case *tetragon.KprobeArgument_SockaddrunArg:
			out.socket = a.SockaddrunArg.GetPath()
		case *tetragon.KprobeArgument_StringArg:
			out.strings = append(out.strings, a.StringArg)
		case *tetragon.KprobeArgument_IntArg:
			out.mask = a.IntArg
		case *tetragon.KprobeArgument_SockaddrArg:
			s := a.SockaddrArg
			out.connection(i, "", endpoint{}, endpoint{s.GetAddr(), s.GetPort()})
		case *tetragon.KprobeArgument_SockArg:
			s := a.SockArg
			out.connection(i, s.GetProtocol(), endpoint{s.GetSaddr(), s.GetSport()}, endpoint{s.GetDaddr(), s.GetDport()})
		case *tetragon.KprobeArgument_SkbArg:
			s := a.SkbArg
			out.connection(i, s.GetProtocol(), endpoint{s.GetSaddr(), s.GetSport()}, endpoint{s.GetDaddr(), s.GetDport()})
		case nil:
			out.unknown = true
			out.note(i, unknownArg(arg, unknown[i]))
		}
	}
	return out
}

func (a *probeArgs) note(i int, what string) {
	if len(a.unparsed) == maxArgs {
		return
	}
	a.unparsed = append(a.unparsed, "args["+strconv.Itoa(i)+"] "+what)
}

// unknownArg names the kind of an argument: as the JSON had it, else by the
// number of its field.
func unknownArg(arg *tetragon.KprobeArgument, name string) string {
	if name != "" {
		return name
	}
	if number := firstUnknownField(arg); number != 0 {
		return "field " + strconv.Itoa(number)
	}
	return "empty"
}

// endpoint is one end of a connection as Tetragon writes it.
type endpoint struct {
	addr string
	port uint32
}

// connection keeps the first connection that an argument tells of. The sockets
// of other families have no address.
func (a *probeArgs) connection(i int, protocol string, src, dst endpoint) {
	if dst.addr == "" || a.network != nil {
		return
	}
	n := &Network{Protocol: strings.ToLower(strings.TrimPrefix(protocol, "IPPROTO_"))}
	var ok bool
	if n.DstIP, ok = parseAddr(dst.addr); !ok {
		a.note(i, "daddr")
		return
	}
	if n.SrcIP, ok = parseAddr(src.addr); !ok && src.addr != "" {
		a.note(i, "saddr")
	}
	n.SrcPort, n.DstPort = a.port(i, "sport", src.port), a.port(i, "dport", dst.port)
	a.network = n
}

func (a *probeArgs) port(i int, name string, port uint32) uint16 {
	if port > math.MaxUint16 {
		a.note(i, fmt.Sprintf("%s %d", name, port))
		return 0
	}
	return uint16(port)
}

// file names the file acted on; nil where the arguments tell of none.
func (a *probeArgs) file(hook string) *File {
	_, call, ok := strings.Cut(hook, "/") // subsystem of a tracepoint
	if !ok {
		call = hook
	}
	f := &File{Op: callOp(call)}
	switch {
	case a.socket != "":
		f.Path, f.Op = a.socket, "connect"
	case len(a.paths) > 0:
		a.namePaths(f, bareCall(call))
	case f.Op != "": // a system call: names as the program gave them
		f.Path, f.NewPath = first(a.strings, f.Op)
	}
	if f.Path == "" {
		return nil
	}
	return f
}

// namePaths puts names together where a hook gives a directory as the process
// sees it and the entry in it as its filesystem sees it, which for a bind mount
// is another path.
func (a *probeArgs) namePaths(f *File, call string) {
	p := a.paths
	switch {
	case (call == "path_unlink" || call == "path_rmdir") && len(p) >= 2:
		f.Path = entry(p[0], p[1])
	case call == "path_rename" && len(p) >= 4:
		f.Path, f.NewPath = entry(p[0], p[1]), entry(p[2], p[3])
	case call == "path_rename" && len(p) >= 2: // a policy that looks at the task's cgroup too
		f.Path = entry(p[0], p[1])
	case call == "path_link" && len(p) >= 3:
		f.Path, f.NewPath = p[0], entry(p[1], p[2])
	default:
		f.Path, f.NewPath = first(p, f.Op)
	}
	if call == "file_permission" {
		switch {
		case a.mask&mayWrite != 0:
			f.Op = "write"
		case a.mask&mayRead != 0:
			f.Op = "read"
		}
	}
}

// first gives the path of names, and for what has two paths the second one.
func first(names []string, op string) (path, newPath string) {
	if len(names) > 0 {
		path = names[0]
	}
	if len(names) > 1 && (op == "rename" || op == "link") {
		newPath = names[1]
	}
	return path, newPath
}

// entry is the last part of name in the directory dir.
func entry(dir, name string) string {
	return strings.TrimSuffix(dir, "/") + "/" + name[strings.LastIndexByte(name, '/')+1:]
}
