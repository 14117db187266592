package event

import (
	"fmt"
	"slices"

	"github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// ParseTetragonJSON reads one line of Tetragon's JSON export. It fills in those
// fields of the message that [FromTetragon] reads, under the names that the
// export uses (those of the .proto files), in a third of the time that
// protojson takes (BenchmarkProtojson); a test holds both to the same events. It
// keeps nothing of raw.
func ParseTetragonJSON(raw []byte) (*Event, error) {
	own, err := ownRecord(raw)
	if err != nil {
		return nil, fmt.Errorf("tetragon event: %w", err)
	}
	p := tetragonJSON{cursor: cursor{b: own}}
	p.readResponse()
	if p.err != nil {
		return nil, fmt.Errorf("tetragon event: %w", p.err)
	}
	ev, err := p.finish()
	if err != nil {
		return nil, err
	}
	ev.Raw, ev.Format = own, FormatTetragonJSON
	return ev, nil
}

// IsTetragonJSON says whether raw looks like a line of Tetragon's export: an
// object with a member at its top that is an object named as an event of
// Tetragon's. It reads no further than to that member, takes any bytes, and
// does not say that raw is valid.
func IsTetragonJSON(raw []byte) bool {
	c := cursor{b: raw}
	if c.kind() != '{' {
		return false
	}
	for key := range c.members {
		if eventKeys[string(key)] && c.kind() == '{' {
			return true
		}
	}
	return false
}

// eventKeys are the names of the events in GetEventsResponse, argKeys those of
// the kinds of arguments, as the API of this version has them.
var (
	eventKeys = oneofKeys((*tetragon.GetEventsResponse)(nil), "event")
	argKeys   = oneofKeys((*tetragon.KprobeArgument)(nil), "arg")
)

func oneofKeys(m protoreflect.ProtoMessage, oneof protoreflect.Name) map[string]bool {
	fields := m.ProtoReflect().Descriptor().Oneofs().ByName(oneof).Fields()
	keys := make(map[string]bool, fields.Len())
	for i := range fields.Len() {
		keys[string(fields.Get(i).Name())] = true
	}
	return keys
}

// tetragonJSON is the state of one parse.
type tetragonJSON struct {
	cursor
	node     string
	time     *timestamppb.Timestamp
	key      string         // of the event, "process_kprobe"
	stranger string         // key of an event of no known kind
	unknown  map[int]string // arguments of no known kind, by place
	unparsed []string

	// The members of all kinds of events; those with one name have one meaning.
	process, parent              *tetragon.Process
	ancestors                    []*tetragon.Process
	args, data                   []*tetragon.KprobeArgument
	function, policy, message    string
	subsys, event                string
	path, symbol, provider, name string
	signal, cgroup               string
	status                       uint32
	offset, dropped              uint64
	action                       tetragon.KprobeAction
	throttle                     tetragon.ThrottleType
}

func (p *tetragonJSON) readResponse() {
	for key := range p.members {
		switch string(key) {
		case "node_name":
			p.node = p.text("node_name")
		case "time":
			p.time = p.timestamp("time", new(timestamppb.Timestamp))
		case "cluster_name", "node_labels", "aggregation_info":
		default:
			p.readEvent(key)
		}
	}
}

// readEvent reads the member key if it is an event.
func (p *tetragonJSON) readEvent(key []byte) {
	if p.kind() != '{' {
		return
	}
	if !eventKeys[string(key)] {
		p.stranger = string(key)
		return
	}
	if p.key != "" {
		p.fail(fmt.Errorf("two events in it, %s and %s", p.key, key))
		return
	}
	p.key = string(key)
	for key := range p.members {
		p.readMember(key)
	}
}

func (p *tetragonJSON) readMember(key []byte) {
	switch string(key) {
	case "process":
		p.process = p.readProcess("process")
	case "parent":
		p.parent = p.readProcess("parent")
	case "ancestors":
		for range p.elements {
			if len(p.ancestors) == maxAncestors { // the mapping keeps no more
				continue
			}
			if a := p.readProcess("ancestors"); a != nil {
				p.ancestors = append(p.ancestors, a)
			}
		}
	case "args":
		p.args = p.readArgs(true)
	case "data":
		p.data = p.readArgs(false)
	case "action":
		p.action = tetragon.KprobeAction(p.enum("action", tetragon.KprobeAction_value))
	case "type":
		p.throttle = tetragon.ThrottleType(p.enum("type", tetragon.ThrottleType_value))
	case "status":
		p.status = uint32(p.uint("status", 32))
	case "offset":
		p.offset = p.uint("offset", 64)
	case "number_of_dropped_process_events":
		p.dropped = p.uint("number_of_dropped_process_events", 64)
	default:
		if to := p.member(key); to != nil {
			*to = p.text(string(key))
		}
	}
}

// member gives the place of a text.
func (p *tetragonJSON) member(key []byte) *string {
	switch string(key) {
	case "function_name":
		return &p.function
	case "policy_name":
		return &p.policy
	case "message":
		return &p.message
	case "subsys":
		return &p.subsys
	case "event":
		return &p.event
	case "path":
		return &p.path
	case "symbol":
		return &p.symbol
	case "provider":
		return &p.provider
	case "name":
		return &p.name
	case "signal":
		return &p.signal
	case "cgroup":
		return &p.cgroup
	default:
		return nil
	}
}

// enum reads a value by name or number; -1, which no enum has, for an unknown
// name.
func (p *tetragonJSON) enum(key string, values map[string]int32) int32 {
	if p.kind() != '"' {
		return p.int32(key)
	}
	if n, ok := values[string(unescape(p.quoted()))]; ok {
		return n
	}
	return -1
}

// timestamp reads a time into t; nil where it cannot be read.
func (p *tetragonJSON) timestamp(key string, t *timestamppb.Timestamp) *timestamppb.Timestamp {
	text := p.bytes(key)
	if len(text) == 0 {
		return nil
	}
	at := parseTime(text)
	if at.IsZero() {
		p.unparsed = append(p.unparsed, key)
		return nil
	}
	t.Seconds, t.Nanos = at.Unix(), int32(at.Nanosecond())
	return t
}

// finish puts the message together and maps it.
func (p *tetragonJSON) finish() (*Event, error) {
	resp := tetragon.GetEventsResponse{NodeName: p.node, Time: p.time}
	switch p.key {
	case "process_exec":
		resp.Event = &tetragon.GetEventsResponse_ProcessExec{ProcessExec: &tetragon.ProcessExec{
			Process: p.process, Parent: p.parent, Ancestors: p.ancestors}}
	case "process_exit":
		resp.Event = &tetragon.GetEventsResponse_ProcessExit{ProcessExit: &tetragon.ProcessExit{
			Process: p.process, Parent: p.parent, Ancestors: p.ancestors, Signal: p.signal, Status: p.status}}
	case "process_loader":
		resp.Event = &tetragon.GetEventsResponse_ProcessLoader{ProcessLoader: &tetragon.ProcessLoader{
			Process: p.process, Parent: p.parent, Ancestors: p.ancestors, Path: p.path}}
	case "process_throttle":
		resp.Event = &tetragon.GetEventsResponse_ProcessThrottle{ProcessThrottle: &tetragon.ProcessThrottle{
			Type: p.throttle, Cgroup: p.cgroup}}
	case "rate_limit_info":
		resp.Event = &tetragon.GetEventsResponse_RateLimitInfo{RateLimitInfo: &tetragon.RateLimitInfo{
			NumberOfDroppedProcessEvents: p.dropped}}
	case "test":
		resp.Event = &tetragon.GetEventsResponse_Test{}
	case "":
		if p.stranger == "" {
			break
		}
		ev := &Event{
			Schema: SchemaVersion, Source: SourceTetragon, Action: ActionObserved,
			Host: p.node, Time: protoTime(p.time), Severity: SeverityOf(TypeCoverageLost), Unparsed: p.unparsed,
		}
		ev.lost(reasonUnknownEvent, p.stranger)
		return ev, nil
	default:
		p.finishProbe(&resp)
	}
	ev, err := fromTetragon(&resp, p.unknown)
	if err != nil {
		return nil, err
	}
	ev.Unparsed = slices.Concat(ev.Unparsed, p.unparsed)
	return ev, nil
}

// finishProbe puts the event of a policy together.
func (p *tetragonJSON) finishProbe(resp *tetragon.GetEventsResponse) {
	switch p.key {
	case "process_kprobe":
		resp.Event = &tetragon.GetEventsResponse_ProcessKprobe{ProcessKprobe: &tetragon.ProcessKprobe{
			Process: p.process, Parent: p.parent, Ancestors: p.ancestors, Args: p.args, Data: p.data,
			FunctionName: p.function, PolicyName: p.policy, Message: p.message, Action: p.action}}
	case "process_lsm":
		resp.Event = &tetragon.GetEventsResponse_ProcessLsm{ProcessLsm: &tetragon.ProcessLsm{
			Process: p.process, Parent: p.parent, Ancestors: p.ancestors, Args: p.args,
			FunctionName: p.function, PolicyName: p.policy, Message: p.message, Action: p.action}}
	case "process_tracepoint":
		resp.Event = &tetragon.GetEventsResponse_ProcessTracepoint{ProcessTracepoint: &tetragon.ProcessTracepoint{
			Process: p.process, Parent: p.parent, Ancestors: p.ancestors, Args: p.args,
			Subsys: p.subsys, Event: p.event, PolicyName: p.policy, Message: p.message, Action: p.action}}
	case "process_uprobe":
		resp.Event = &tetragon.GetEventsResponse_ProcessUprobe{ProcessUprobe: &tetragon.ProcessUprobe{
			Process: p.process, Parent: p.parent, Ancestors: p.ancestors, Args: p.args, Data: p.data,
			Path: p.path, Symbol: p.symbol, Offset: p.offset, PolicyName: p.policy, Message: p.message, Action: p.action}}
	case "process_usdt":
		resp.Event = &tetragon.GetEventsResponse_ProcessUsdt{ProcessUsdt: &tetragon.ProcessUsdt{
			Process: p.process, Parent: p.parent, Ancestors: p.ancestors, Args: p.args,
			Path: p.path, Provider: p.provider, Name: p.name, PolicyName: p.policy, Message: p.message, Action: p.action}}
	}
}
