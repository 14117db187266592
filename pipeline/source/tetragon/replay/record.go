package replay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	// maxLine is the length of one exported event, in bytes.
	maxLine = 4 << 20
	// maxRecording is what all events may take in memory, in bytes.
	maxRecording = 1 << 30
)

// record is one event, encoded once for all subscribers, with what filters and
// pace look at.
type record struct {
	raw    []byte
	time   time.Time
	kind   api.EventType
	policy string
}

// decoder leaves out what the API's version does not know: an export of a newer
// Tetragon can be played as well.
var decoder = protojson.UnmarshalOptions{DiscardUnknown: true}

// ParsePolicies reads what `tetra tracingpolicy list -o json` prints.
func ParsePolicies(data []byte) ([]*api.TracingPolicyStatus, error) {
	var list api.ListTracingPoliciesResponse
	if err := decoder.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("read policy list: %w", err)
	}
	return list.GetPolicies(), nil
}

func load(files []string, lines [][]byte) ([]record, error) {
	l := loader{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("open recording: %w", err)
		}
		err = l.read(name, f)
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	for i, line := range lines {
		if err := l.add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return l.records, nil
}

type loader struct {
	records []record
	bytes   int
}

func (l *loader) read(name string, r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if err := l.add(lines.Bytes()); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	return nil
}

func (l *loader) add(line []byte) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	var resp api.GetEventsResponse
	if err := decoder.Unmarshal(line, &resp); err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	if resp.GetEvent() == nil {
		return errors.New("read event: is none of Tetragon's")
	}
	raw, err := proto.Marshal(&resp)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	if l.bytes += len(raw); l.bytes > maxRecording {
		return fmt.Errorf("the recording is over %d bytes", maxRecording)
	}
	l.records = append(l.records, record{
		raw: raw, time: resp.GetTime().AsTime(), kind: resp.EventType(), policy: policyOf(&resp),
	})
	return nil
}

func policyOf(resp *api.GetEventsResponse) string {
	switch ev := resp.GetEvent().(type) {
	case *api.GetEventsResponse_ProcessKprobe:
		return ev.ProcessKprobe.GetPolicyName()
	case *api.GetEventsResponse_ProcessTracepoint:
		return ev.ProcessTracepoint.GetPolicyName()
	case *api.GetEventsResponse_ProcessUprobe:
		return ev.ProcessUprobe.GetPolicyName()
	case *api.GetEventsResponse_ProcessUsdt:
		return ev.ProcessUsdt.GetPolicyName()
	case *api.GetEventsResponse_ProcessLsm:
		return ev.ProcessLsm.GetPolicyName()
	default:
		return ""
	}
}

// codec sends a record as it is; the rest is left to the protobuf codec.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(grpcproto.Name)} }

// Marshal of a *record copies nothing: its bytes never change.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(*record); ok {
		return mem.BufferSlice{mem.SliceBuffer(r.raw)}, nil
	}
	return c.CodecV2.Marshal(v)
}
