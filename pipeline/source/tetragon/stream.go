package tetragon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// maxMessage is what gRPC may put together: a larger one ends the stream.
	maxMessage = 64 << 20
	// maxRecord is what is taken of that, the receiver's bound too: a larger one
	// costs itself, not the stream.
	maxRecord = 4 << 20
	// window is how much Tetragon may send ahead of the reader.
	window     = 2 << 20
	readBuffer = 128 << 10

	// pingAfter a silence gRPC asks the other side for a sign of life, and gives
	// up pingWait later.
	pingAfter = 30 * time.Second
	pingWait  = 10 * time.Second
	// dialTimeout bounds one attempt to reach the server.
	dialTimeout = 10 * time.Second
)

// Dial prepares a connection to the Tetragon of cfg, whose other fields do not
// matter. It connects with its first call; the caller closes it.
func Dial(cfg Config) (*grpc.ClientConn, error) {
	if err := errors.Join(cfg.validateAddress(), cfg.validateTLS()); err != nil {
		return nil, err
	}
	return dial(cfg)
}

// dial prepares one connection; it connects with its first call. A session has
// its own, so that gRPC never reconnects behind our back and the time between
// attempts is ours alone.
func dial(cfg Config) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if !cfg.plaintext() {
		conf, err := cfg.TLS.load()
		if err != nil {
			return nil, err
		}
		creds = credentials.NewTLS(conf)
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithInitialWindowSize(window),
		grpc.WithInitialConnWindowSize(window),
		grpc.WithReadBufferSize(readBuffer),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingWait}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: dialTimeout}),
	}
	target := "dns:///" + cfg.Address
	if path, ok := cfg.socket(); ok {
		// gRPC's own unix targets are URLs; a path need not be one.
		target = "passthrough:///localhost"
		opts = append(opts, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}))
	}
	return grpc.NewClient(target, opts...)
}

// message is what a codec makes of one message of the stream: an event, or why
// there is none.
type message struct {
	ev  *event.Event
	err error
}

// codec parses the events while their bytes are still gRPC's: the parser keeps
// its own copy of the record as it was sent, unknown fields and all, which is
// the only copy. Everything else is left to the protobuf codec.
type codec struct{ encoding.CodecV2 }

var _ encoding.CodecV2 = codec{}

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Unmarshal never fails for a *message: what cannot be read is one lost event,
// while an error would end the stream.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if n := data.Len(); n > maxRecord {
		m.ev, m.err = nil, fmt.Errorf("a message of %d bytes is over %d", n, maxRecord)
		return nil
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	m.ev, m.err = event.ParseTetragonProto(buf.ReadOnlyData())
	return nil
}
