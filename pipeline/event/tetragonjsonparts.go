package event

import (
	"fmt"

	"github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// maxArgs bounds the arguments of a hook; Tetragon gives at most five, and as
// many strings of data.
const maxArgs = 32

// processParts holds a process and what it points to in one allocation.
type processParts struct {
	process  tetragon.Process
	pid, uid wrapperspb.UInt32Value
	start    timestamppb.Timestamp
}

// readProcess reads what of a process the mapping uses; nil for null.
func (p *tetragonJSON) readProcess(key string) *tetragon.Process {
	if !p.object(key) {
		return nil
	}
	parts := new(processParts)
	out := &parts.process
	for key := range p.members {
		switch string(key) {
		case "exec_id":
			out.ExecId = p.text("exec_id")
		case "parent_exec_id":
			out.ParentExecId = p.text("parent_exec_id")
		case "pid":
			out.Pid = p.uint32("pid", &parts.pid)
		case "uid":
			out.Uid = p.uint32("uid", &parts.uid)
		case "cwd":
			out.Cwd = p.text("cwd")
		case "binary":
			out.Binary = p.text("binary")
		case "arguments":
			out.Arguments = p.text("arguments")
		case "start_time":
			out.StartTime = p.timestamp("start_time", &parts.start)
		case "docker":
			out.Docker = p.text("docker")
		case "pod":
			out.Pod = p.readPod()
		}
	}
	return out
}

func (p *tetragonJSON) uint32(key string, to *wrapperspb.UInt32Value) *wrapperspb.UInt32Value {
	if p.kind() == 'n' {
		return nil
	}
	to.Value = uint32(p.uint(key, 32))
	return to
}

func (p *tetragonJSON) readPod() *tetragon.Pod {
	if !p.object("pod") {
		return nil
	}
	pod := new(tetragon.Pod)
	for key := range p.members {
		switch string(key) {
		case "namespace":
			pod.Namespace = p.text("namespace")
		case "name":
			pod.Name = p.text("name")
		case "container":
			pod.Container = p.readContainer()
		case "workload":
			pod.Workload = p.text("workload")
		case "pod_labels":
			pod.PodLabels = p.readLabels("pod_labels")
		}
	}
	return pod
}

func (p *tetragonJSON) readLabels(key string) map[string]string {
	if !p.object(key) {
		return nil
	}
	labels := map[string]string{}
	for name := range p.members {
		labels[string(name)] = p.text(key)
	}
	return labels
}

func (p *tetragonJSON) readContainer() *tetragon.Container {
	if !p.object("container") {
		return nil
	}
	out := new(tetragon.Container)
	for key := range p.members {
		switch string(key) {
		case "id":
			out.Id = p.text("id")
		case "name":
			out.Name = p.text("name")
		case "image":
			if !p.object("image") {
				continue
			}
			out.Image = new(tetragon.Image)
			for key := range p.members {
				if string(key) == "name" {
					out.Image.Name = p.text("name")
				}
			}
		}
	}
	return out
}

// readArgs reads the arguments of a hook, or the strings of "data"; the kinds
// that it does not know are remembered if remember is set.
func (p *tetragonJSON) readArgs(remember bool) []*tetragon.KprobeArgument {
	var out []*tetragon.KprobeArgument
	for range p.elements {
		if len(out) == maxArgs {
			p.fail(fmt.Errorf("args: more than %d", maxArgs))
			break
		}
		if !p.object("args") {
			continue
		}
		arg := new(tetragon.KprobeArgument)
		for key := range p.members {
			switch {
			case string(key) == "label" || p.kind() == 'n':
			case argKeys[string(key)]:
				p.readArg(string(key), arg)
			case remember:
				if p.unknown == nil {
					p.unknown = map[int]string{}
				}
				p.unknown[len(out)] = Clean(string(key), maxErrorText)
			}
		}
		out = append(out, arg)
	}
	return out
}

// otherArg stands for the kinds of arguments that the mapping knows and has no
// use for.
var otherArg = &tetragon.KprobeArgument_SyscallId{}

func (p *tetragonJSON) readArg(key string, arg *tetragon.KprobeArgument) {
	switch key {
	case "string_arg":
		arg.Arg = &tetragon.KprobeArgument_StringArg{StringArg: p.text(key)}
	case "int_arg":
		arg.Arg = &tetragon.KprobeArgument_IntArg{IntArg: p.int32(key)}
	case "path_arg":
		arg.Arg = &tetragon.KprobeArgument_PathArg{PathArg: &tetragon.KprobePath{Path: p.pathOf(key)}}
	case "file_arg":
		arg.Arg = &tetragon.KprobeArgument_FileArg{FileArg: &tetragon.KprobeFile{Path: p.pathOf(key)}}
	case "linux_binprm_arg":
		arg.Arg = &tetragon.KprobeArgument_LinuxBinprmArg{LinuxBinprmArg: &tetragon.KprobeLinuxBinprm{Path: p.pathOf(key)}}
	case "sockaddrun_arg":
		arg.Arg = &tetragon.KprobeArgument_SockaddrunArg{SockaddrunArg: &tetragon.KprobeSockaddrUn{Path: p.pathOf(key)}}
	case "sockaddr_arg":
		s := p.readSock(key)
		arg.Arg = &tetragon.KprobeArgument_SockaddrArg{SockaddrArg: &tetragon.KprobeSockaddr{Addr: s.addr, Port: s.port}}
	case "sock_arg":
		s := p.readSock(key)
		arg.Arg = &tetragon.KprobeArgument_SockArg{SockArg: &tetragon.KprobeSock{
			Protocol: s.protocol, Saddr: s.src.addr, Sport: s.src.port, Daddr: s.addr, Dport: s.port}}
	case "skb_arg":
		s := p.readSock(key)
		arg.Arg = &tetragon.KprobeArgument_SkbArg{SkbArg: &tetragon.KprobeSkb{
			Protocol: s.protocol, Saddr: s.src.addr, Sport: s.src.port, Daddr: s.addr, Dport: s.port}}
	default:
		arg.Arg = otherArg
	}
}

// pathOf reads an object of which only the path counts.
func (p *tetragonJSON) pathOf(key string) (path string) {
	if !p.object(key) {
		return ""
	}
	for key := range p.members {
		if string(key) == "path" {
			path = p.text("path")
		}
	}
	return path
}

// sockParts is what a socket argument says; the endpoint is the other side.
type sockParts struct {
	protocol string
	src      endpoint
	endpoint
}

func (p *tetragonJSON) readSock(key string) (out sockParts) {
	if !p.object(key) {
		return out
	}
	for key := range p.members {
		switch string(key) {
		case "protocol":
			out.protocol = p.text("protocol")
		case "saddr":
			out.src.addr = p.text("saddr")
		case "sport":
			out.src.port = uint32(p.uint("sport", 32))
		case "addr", "daddr":
			out.addr = p.text("addr")
		case "port", "dport":
			out.port = uint32(p.uint("port", 32))
		}
	}
	return out
}
