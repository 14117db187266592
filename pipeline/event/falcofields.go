package event

import (
	"net/netip"
	"strconv"
	"strings"
)

// maxAncestors bounds how many processes above the one that acted are kept.
const maxAncestors = 16

// falcoFields are the output_fields that g0 knows; a rule's output decides
// which are there. https://falco.org/docs/reference/rules/supported-fields/
type falcoFields struct {
	container              Container
	containerID            string // container.id, 12 characters; full_id goes before it
	process                Process
	name, cmdline          string // proc.name and proc.cmdline
	evtType, evtFlags      string
	argName, argPath       string // evt.arg.name, evt.arg.path
	argAddr                string
	pathName               string // fs.path.name
	pathFrom, pathTo       string // fs.path.source, fs.path.target
	fdName                 string
	proto, domain          string
	server, client         netip.Addr
	serverPort, clientPort uint16
	drops                  uint64
	unparsed               []string
}

// read takes the fields in; c stands at the object. Values of other kinds than
// expected are named in unparsed.
func (f *falcoFields) read(c *cursor) {
	for key := range c.members {
		if c.kind() == 'n' { // the field was absent
			continue
		}
		switch group, _, _ := strings.Cut(string(key), "."); group {
		case "container", "k8s":
			f.readContainer(c, string(key))
		case "proc", "user":
			f.readProcess(c, string(key))
		case "evt", "fs":
			f.readObject(c, string(key))
		case "fd":
			f.readFD(c, string(key))
		case "n_drops":
			f.drops = f.number(c, "n_drops", 64)
		}
	}
}

func (f *falcoFields) readContainer(c *cursor, key string) {
	switch key {
	case "container.id":
		f.containerID = f.text(c)
	case "container.full_id":
		f.container.ID = f.text(c)
	case "container.name":
		f.container.Name = f.text(c)
	case "container.image":
		f.container.Image = f.text(c)
	case "container.image.repository":
		if image := f.text(c); f.container.Image == "" {
			f.container.Image = image
		}
	case "k8s.pod.name":
		f.container.Pod = f.text(c)
	case "k8s.ns.name":
		f.container.Namespace = f.text(c)
	}
}

func (f *falcoFields) readProcess(c *cursor, key string) {
	switch key {
	case "proc.pid":
		f.process.PID = uint32(f.number(c, key, 32))
	case "proc.exepath":
		f.process.Exe = f.text(c)
	case "proc.name":
		f.name = f.text(c)
	case "proc.cmdline":
		f.cmdline = f.text(c)
	case "proc.cwd":
		f.process.Cwd = f.text(c)
	case "proc.pname":
		f.ancestor(c, 1)
	case "user.uid":
		before := len(f.unparsed)
		if uid := uint32(f.number(c, key, 32)); len(f.unparsed) == before {
			f.process.UID = &uid
		}
	default:
		if n, ok := strings.CutPrefix(key, "proc.aname["); ok {
			if n, err := strconv.Atoi(strings.TrimSuffix(n, "]")); err == nil {
				f.ancestor(c, n)
			}
		}
	}
}

// ancestor keeps the n-th process above, 1 the parent.
func (f *falcoFields) ancestor(c *cursor, n int) {
	if n < 1 || n > maxAncestors {
		return
	}
	name := f.text(c)
	if name == "" {
		return
	}
	for len(f.process.Ancestors) < n {
		f.process.Ancestors = append(f.process.Ancestors, Ancestor{})
	}
	f.process.Ancestors[n-1].Exe = name
}

func (f *falcoFields) readObject(c *cursor, key string) {
	switch key {
	case "evt.type":
		f.evtType = f.text(c)
	case "evt.arg.flags":
		f.evtFlags = f.text(c)
	case "evt.arg.name":
		f.argName = f.text(c)
	case "evt.arg.path":
		f.argPath = f.text(c)
	case "evt.arg.addr":
		f.argAddr = f.text(c)
	case "fs.path.name":
		f.pathName = f.text(c)
	case "fs.path.source":
		f.pathFrom = f.text(c)
	case "fs.path.target":
		f.pathTo = f.text(c)
	}
}

func (f *falcoFields) readFD(c *cursor, key string) {
	switch key {
	case "fd.name":
		f.fdName = f.text(c)
	case "fd.l4proto":
		f.proto = f.text(c)
	case "fd.sip.name":
		f.domain = f.text(c)
	case "fd.sip":
		f.server = f.addr(c, key)
	case "fd.sport":
		f.serverPort = uint16(f.number(c, key, 16))
	case "fd.cip":
		f.client = f.addr(c, key)
	case "fd.cport":
		f.clientPort = uint16(f.number(c, key, 16))
	}
}

// text reads a string; "" for other kinds and for what Falco writes where there
// is nothing.
func (f *falcoFields) text(c *cursor) string {
	s := c.textIfAny()
	if s == "<NA>" {
		return ""
	}
	return s
}

// number reads an integer or a string with one; another value is unparsed.
func (f *falcoFields) number(c *cursor, key string, bits int) uint64 {
	digits := string(c.number())
	n, err := strconv.ParseUint(digits, 10, bits)
	if err != nil {
		if digits != "<NA>" {
			f.unparsed = append(f.unparsed, key)
		}
		return 0
	}
	return n
}

func (f *falcoFields) addr(c *cursor, key string) netip.Addr {
	s := f.text(c)
	addr, ok := parseAddr(s)
	if !ok && s != "" {
		f.unparsed = append(f.unparsed, key)
	}
	return addr
}

// parseAddr reads an IP address, unmapped and without a zone.
func parseAddr(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true
}

// apply writes what was read into the event.
func (f *falcoFields) apply(ev *Event) {
	ev.Hook = f.evtType
	ev.Unparsed = f.unparsed
	ev.Container = f.inContainer()
	ev.Process = f.actor()
	ev.File = f.file(ev.Type)
	ev.Network = f.network(ev.Type)
}

func (f *falcoFields) inContainer() Container {
	if f.containerID == "host" || f.container.ID == "host" {
		return Container{}
	}
	if f.container.ID == "" {
		f.container.ID = f.containerID
	}
	return f.container
}

func (f *falcoFields) actor() *Process {
	p := f.process // a copy: the fields need not live as long as the event
	if p.Exe == "" {
		p.Exe = f.name
	}
	// proc.cmdline is proc.name and the arguments; a name may have blanks.
	args, ok := strings.CutPrefix(f.cmdline, f.name+" ")
	if !ok || f.name == "" {
		_, args, _ = strings.Cut(f.cmdline, " ")
	}
	p.Args = args
	p.Command = wrappedCommand(args)
	if p.PID == 0 && p.Exe == "" && p.Args == "" && p.UID == nil && len(p.Ancestors) == 0 {
		return nil
	}
	return &p
}

// file names the file acted on. fd.name is the directory for unlinkat and no
// path at all for a socket, so the argument of the call goes before it.
func (f *falcoFields) file(typ string) *File {
	if absolute(f.pathFrom) {
		return &File{Path: f.pathFrom, NewPath: f.pathTo, Op: f.op("rename")}
	}
	if absolute(f.argAddr) {
		return &File{Path: f.argAddr, Op: "connect"}
	}
	if typ == TypeBinarySensitive && absolute(f.process.Exe) {
		return &File{Path: f.process.Exe, Op: "exec"}
	}
	usual := ""
	switch typ {
	case TypeCrossAccess, TypeCredentialAccess, TypeSessionAccess:
		usual = "open"
	}
	for _, path := range [...]string{f.argName, f.pathName, f.argPath, f.fdName} {
		if absolute(path) {
			return &File{Path: path, Op: f.op(usual)}
		}
	}
	return nil
}

func absolute(path string) bool { return strings.HasPrefix(path, "/") }

// op names what the system call does to a file; usual where the rule does not
// say which call it was.
func (f *falcoFields) op(usual string) string {
	if f.evtType == "" {
		return usual
	}
	op := callOp(f.evtType)
	if op == "open" && strings.Contains(f.evtFlags, "O_TRUNC") {
		return "truncate"
	}
	return op
}

// network gives fd.* as a connection. What binds has no other end: its own
// address is fd.sip.
func (f *falcoFields) network(typ string) *Network {
	if !f.server.IsValid() && !f.client.IsValid() && f.domain == "" {
		return nil
	}
	n := &Network{Protocol: strings.ToLower(f.proto), Domain: f.domain}
	if typ == TypeGatewayExternalBind || f.evtType == "bind" || f.evtType == "listen" {
		n.SrcIP, n.SrcPort = f.server, f.serverPort
		return n
	}
	n.SrcIP, n.SrcPort = f.client, f.clientPort
	n.DstIP, n.DstPort = f.server, f.serverPort
	return n
}
