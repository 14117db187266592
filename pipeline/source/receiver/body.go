package receiver

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// freeBody is how much of a body is read without asking for room: every
	// plugin event and Falco alert fits, so big bodies cannot starve them.
	freeBody = 64 << 10
	// firstRead is the buffer that a body begins with.
	firstRead = 4 << 10
	// bodyRoom bounds the memory of all bodies beyond freeBody together, in
	// bytes: it must not grow with the number of somebody's connections.
	bodyRoom = 64 << 20
)

var (
	errTooLarge = errors.New("body too large")
	errCrowded  = errors.New("too many large bodies or batches at once: send it again later")
)

// bodies reads the bodies of requests into bounded memory.
type bodies struct {
	max     int64        // bytes of one body, before and after gunzip
	room    atomic.Int64 // bytes left of bodyRoom
	buffers sync.Pool    // *body with at most freeBody
	gunzips sync.Pool    // *gzip.Reader
}

// body is one body in memory, until it is released.
type body struct {
	bytes   []byte
	charged int64 // taken from the room
}

func newBodies(limit int64) *bodies {
	b := &bodies{max: limit}
	b.room.Store(max(bodyRoom, 2*limit))
	b.buffers.New = func() any { return &body{bytes: make([]byte, 0, firstRead)} }
	b.gunzips.New = func() any { return new(gzip.Reader) }
	return b
}

// read reads all of req's body, gunzipped. The caller releases it.
func (b *bodies) read(w http.ResponseWriter, req *http.Request) (*body, *refusal) {
	if req.ContentLength > b.max {
		return nil, b.refusal(errTooLarge)
	}
	src := io.Reader(http.MaxBytesReader(w, req.Body, b.max))
	switch coding := strings.Join(req.Header["Content-Encoding"], ","); strings.ToLower(coding) {
	case "", "identity":
	case "gzip", "x-gzip":
		z := b.gunzips.Get().(*gzip.Reader)
		defer b.gunzips.Put(z)
		if err := z.Reset(src); err != nil {
			return nil, b.refusal(fmt.Errorf("gunzip body: %w", err))
		}
		src = z
	default:
		w.Header().Set("Accept-Encoding", "gzip") // RFC 9110, section 15.5.16
		return nil, &refusal{http.StatusUnsupportedMediaType, reasonEncoding,
			"content encoding " + event.Clean(coding, maxEcho) + " is not supported: use gzip or none"}
	}
	got := b.buffers.Get().(*body)
	if err := b.fill(got, src); err != nil {
		b.release(got)
		return nil, b.refusal(err)
	}
	return got, nil
}

// fill reads src to its end. Memory grows with what has come, not with what
// Content-Length promises.
func (b *bodies) fill(into *body, src io.Reader) error {
	for {
		if len(into.bytes) == cap(into.bytes) {
			if err := b.grow(into); err != nil {
				return err
			}
		}
		n, err := src.Read(into.bytes[len(into.bytes):cap(into.bytes)])
		into.bytes = into.bytes[:len(into.bytes)+n]
		switch {
		case int64(len(into.bytes)) > b.max:
			return errTooLarge
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read body: %w", err)
		}
	}
}

// grow doubles the memory of a body, up to one byte more than it may fill.
func (b *bodies) grow(into *body) error {
	size := min(2*int64(cap(into.bytes)), b.max+1)
	if more := size - freeBody - into.charged; more > 0 {
		if b.room.Add(-more) < 0 {
			b.room.Add(more)
			return errCrowded
		}
		into.charged += more
	}
	into.bytes = append(make([]byte, 0, size), into.bytes...)
	return nil
}

// release gives a body's memory back; nobody may hold a part of it.
func (b *bodies) release(got *body) {
	b.room.Add(got.charged)
	if got.charged > 0 {
		return // as large as an attacker liked: not kept
	}
	got.bytes = got.bytes[:0]
	b.buffers.Put(got)
}

// refusal translates an error of reading a body.
func (b *bodies) refusal(err error) *refusal {
	var large *http.MaxBytesError
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, errTooLarge), errors.As(err, &large):
		return &refusal{http.StatusRequestEntityTooLarge, reasonTooLarge,
			fmt.Sprintf("the body is larger than %d bytes, as sent or after gunzip: send it in parts", b.max)}
	case errors.Is(err, errCrowded):
		return &refusal{http.StatusServiceUnavailable, reasonBusy, errCrowded.Error()}
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return &refusal{http.StatusBadRequest, reasonEncoding, "the body is not valid gzip"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &refusal{http.StatusRequestTimeout, reasonIncomplete, "the body came too slowly"}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &refusal{http.StatusBadRequest, reasonIncomplete, "the body ends too early"}
	default:
		return &refusal{http.StatusBadRequest, reasonIncomplete, event.Clean(err.Error(), maxEcho)}
	}
}
