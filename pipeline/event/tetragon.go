package event

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// policyPrefix stands before the names of the policies that g0 writes.
const policyPrefix = "g0-openclaw-"

// policyTypes maps those policies, without the prefix, to types of events.
var policyTypes = []struct{ name, typ string }{
	{"egress", TypeEgressUnexpected},
	{"cross-agent", TypeCrossAccess},
	{"docker-socket", TypeDockerSocketAccess},
	{"sensitive-binary", TypeBinarySensitive},
	{"credential-protection", TypeCredentialAccess},
	{"log-protection", TypeLogTampering},
	{"cognitive-protection", TypeCognitiveModified},
	{"code-injection", TypeCodeModified},
}

// Reasons of Tetragon's coverage events.
const (
	whatTetragon       = "tetragon"
	reasonThrottled    = "throttled"
	reasonRateLimit    = "export rate limit"
	reasonUnknownArg   = "unknown argument"
	reasonUnknownEvent = "unknown event"
)

// ParseTetragonProto reads a GetEventsResponse of Tetragon's gRPC API in its
// binary form. It keeps nothing of raw.
func ParseTetragonProto(raw []byte) (*Event, error) {
	var resp tetragon.GetEventsResponse
	if err := proto.Unmarshal(raw, &resp); err != nil {
		return nil, fmt.Errorf("tetragon event: %w", err)
	}
	ev, err := FromTetragon(&resp)
	if err != nil {
		return nil, err
	}
	ev.Raw, ev.Format = slices.Clone(raw), FormatTetragonProto
	return ev, nil
}

// FromTetragon makes an event of a message of Tetragon's, whichever way it
// came; Raw and Format are the caller's to set. Strings are shared with resp,
// nothing else is. The only error is a message without an event in it.
//
// What this version of g0 does not know is not passed over: an argument of an
// unknown kind is named in Unparsed, and a policy's event that then says
// nothing about a file or a connection becomes coverage.lost, as does an event
// of an unknown kind.
//
// Action is what holds whatever the policy's mode is; see [Event.SettleAction].
func FromTetragon(resp *tetragon.GetEventsResponse) (*Event, error) {
	return fromTetragon(resp, nil)
}

// fromTetragon is FromTetragon with the names of those arguments, by place,
// that the JSON decoder found to be of no known kind.
func fromTetragon(resp *tetragon.GetEventsResponse, unknown map[int]string) (*Event, error) {
	ev := &Event{
		Schema: SchemaVersion, Source: SourceTetragon, Action: ActionObserved,
		Host: resp.GetNodeName(), Time: protoTime(resp.GetTime()),
	}
	switch e := resp.GetEvent().(type) {
	case *tetragon.GetEventsResponse_ProcessExec:
		ev.Type = TypeProcessExec
		ev.setProcess(e.ProcessExec)
	case *tetragon.GetEventsResponse_ProcessExit:
		ev.Type = TypeProcessExit
		ev.setProcess(e.ProcessExit)
		if ev.Process != nil {
			ev.Process.Signal, ev.Process.Status = e.ProcessExit.GetSignal(), e.ProcessExit.GetStatus()
		}
	case *tetragon.GetEventsResponse_ProcessLoader:
		ev.Type = TypeProcessLoader
		ev.setProcess(e.ProcessLoader)
		if path := e.ProcessLoader.GetPath(); path != "" {
			ev.File = &File{Path: path}
		}
	case *tetragon.GetEventsResponse_ProcessKprobe:
		ev.setProbe(e.ProcessKprobe, e.ProcessKprobe.GetFunctionName(), unknown)
		ev.setFullID(e.ProcessKprobe.GetData(), true)
	case *tetragon.GetEventsResponse_ProcessLsm:
		ev.setProbe(e.ProcessLsm, e.ProcessLsm.GetFunctionName(), unknown)
	case *tetragon.GetEventsResponse_ProcessTracepoint:
		t := e.ProcessTracepoint
		ev.setProbe(t, t.GetSubsys()+"/"+t.GetEvent(), unknown)
	case *tetragon.GetEventsResponse_ProcessUprobe:
		u := e.ProcessUprobe
		ev.setProbe(u, uprobeName(u), unknown)
		ev.setFullID(u.GetData(), true)
	case *tetragon.GetEventsResponse_ProcessUsdt:
		u := e.ProcessUsdt
		ev.setProbe(u, u.GetPath()+":"+u.GetProvider()+":"+u.GetName(), unknown)
	case *tetragon.GetEventsResponse_ProcessThrottle:
		ev.setThrottle(e.ProcessThrottle)
	case *tetragon.GetEventsResponse_RateLimitInfo:
		ev.lost(reasonRateLimit, "")
		ev.Coverage.Count = e.RateLimitInfo.GetNumberOfDroppedProcessEvents()
	case *tetragon.GetEventsResponse_Test:
		ev.Type, ev.Hook = TypeKernelProbe, "test"
	default:
		number := firstUnknownField(resp)
		if number == 0 {
			return nil, errors.New("tetragon event: no event in it")
		}
		ev.lost(reasonUnknownEvent, "field "+strconv.Itoa(number))
	}
	ev.Severity = SeverityOf(ev.Type)
	return ev, nil
}

// uprobeName is where a uprobe is set: path:symbol, or path+offset.
func uprobeName(u *tetragon.ProcessUprobe) string {
	if symbol := u.GetSymbol(); symbol != "" {
		return u.GetPath() + ":" + symbol
	}
	return u.GetPath() + "+0x" + strconv.FormatUint(u.GetOffset(), 16)
}

// probe is what the events of policies have in common.
type probe interface {
	actors
	GetPolicyName() string
	GetMessage() string
	GetAction() tetragon.KprobeAction
	GetArgs() []*tetragon.KprobeArgument
}

func (e *Event) setProbe(p probe, hook string, unknown map[int]string) {
	e.setProcess(p)
	e.Hook, e.Policy, e.Message = hook, p.GetPolicyName(), p.GetMessage()
	known := false
	e.Type, known = policyType(e.Policy)
	e.setAsked(p.GetAction())
	e.setFullID(p.GetArgs(), false)
	args := readArgs(p.GetArgs(), unknown)
	e.File, e.Network = args.file(hook), args.network
	e.Unparsed = append(e.Unparsed, args.unparsed...)
	if e.File == nil && e.Network == nil && (known || args.unknown) {
		e.lost(reasonUnknownArg, e.Policy+" "+hook)
	}
}

// policyType gives the type that a policy's events have, and whether the policy
// is one of g0's: by the exact name, or by one with "-" and anything after it.
func policyType(policy string) (typ string, ours bool) {
	name, ok := strings.CutPrefix(policy, policyPrefix)
	if !ok {
		return TypeKernelProbe, false
	}
	for _, p := range policyTypes {
		rest, ok := strings.CutPrefix(name, p.name)
		if ok && (rest == "" || rest[0] == '-') {
			return p.typ, true
		}
	}
	return TypeKernelProbe, false
}

// setAsked notes what the policy told the kernel to do.
func (e *Event) setAsked(action tetragon.KprobeAction) {
	switch action {
	case tetragon.KprobeAction_KPROBE_ACTION_SIGKILL:
		e.Asked = AskedSigkill
	case tetragon.KprobeAction_KPROBE_ACTION_OVERRIDE:
		e.Asked = AskedOverride
	case tetragon.KprobeAction_KPROBE_ACTION_SIGNAL:
		e.Asked = "signal"
	case tetragon.KprobeAction_KPROBE_ACTION_NOTIFYENFORCER:
		e.Asked = "notifyenforcer"
	default:
		if _, ok := tetragon.KprobeAction_name[int32(action)]; !ok {
			e.Unparsed = append(e.Unparsed, "action")
		}
	}
	e.SettleAction("")
}

func (e *Event) setThrottle(t *tetragon.ProcessThrottle) {
	cgroup := strings.TrimRight(t.GetCgroup(), "\x00") // padded to 128 bytes
	e.lost(reasonThrottled, cgroup)
	e.Container.ID = containerOfCgroup(cgroup)
	switch t.GetType() {
	case tetragon.ThrottleType_THROTTLE_START:
	case tetragon.ThrottleType_THROTTLE_STOP:
		e.Type = TypeCoverageRestored
	default: // better blind once too often
		e.Unparsed = append(e.Unparsed, "type")
	}
}

// lost makes the event one about what Tetragon did not see or g0 cannot read.
func (e *Event) lost(reason, detail string) {
	e.Type = TypeCoverageLost
	e.Coverage = &Coverage{What: whatTetragon, Reason: reason, Detail: detail}
}

// firstUnknownField gives the number of the first field of m that this version
// of Tetragon's API does not have; 0: there is none.
func firstUnknownField(m proto.Message) int {
	number, _, n := protowire.ConsumeTag(m.ProtoReflect().GetUnknown())
	if n < 0 {
		return 0
	}
	return int(number)
}

// protoTime gives a time in UTC; zero where there is none or it is out of range.
func protoTime(t *timestamppb.Timestamp) time.Time {
	if t == nil || !t.IsValid() {
		return time.Time{}
	}
	return t.AsTime()
}
