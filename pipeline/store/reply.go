package store

import (
	"errors"
	"fmt"
)

// The limits of what a server may answer. go-redis makes room for as much as a
// reply says that it will have, and recurses for each array in an array, so one
// line of a broken or hostile server would end the process.
const (
	maxReplies = 16 << 20 // bytes to one request or pipeline
	maxLine    = 64 << 10 // bytes of a status, an error or a number
	maxElems   = 1 << 16  // elements of an array
	maxNested  = 8        // arrays in arrays; CLUSTER SLOTS has 4
)

var errNotRedis = errors.New("answer is not of the Redis protocol")

// replies follows the bytes that a server sends
// (https://redis.io/docs/latest/develop/reference/protocol-spec/: RESP2, and RESP3,
// which go-redis always speaks to a Sentinel, without attributes), and says
// before they are used when a reply exceeds its limit. The zero value waits for
// the first.
type replies struct {
	total int            // bytes since the last request
	line  []byte         // the line that is being read, without its end
	body  int            // bytes that are still to come of a string and its end
	open  [maxNested]int // elements that are still to come, of each open array
	depth int
}

// asked says that a request was sent.
func (r *replies) asked() { r.total = 0 }

// feed takes what came next.
func (r *replies) feed(b []byte) error {
	if r.total += len(b); r.total > maxReplies {
		return fmt.Errorf("answer: %w: more than %d bytes", ErrTooLarge, maxReplies)
	}
	for len(b) > 0 {
		if r.body > 0 {
			n := min(r.body, len(b))
			b, r.body = b[n:], r.body-n
			if r.body == 0 {
				r.closed()
			}
			continue
		}
		c := b[0]
		b = b[1:]
		if c != '\n' {
			if r.line = append(r.line, c); len(r.line) > maxLine {
				return fmt.Errorf("answer: %w: line of more than %d bytes", ErrTooLarge, maxLine)
			}
			continue
		}
		if err := r.endLine(); err != nil {
			return err
		}
		r.line = r.line[:0]
	}
	return nil
}

// endLine looks at a line that is complete.
func (r *replies) endLine() error {
	if n := len(r.line); n < 2 || r.line[n-1] != '\r' {
		return errNotRedis
	}
	value := r.line[1 : len(r.line)-1]
	switch r.line[0] {
	case '+', '-', ':', '_', ',', '#', '(':
		r.closed()
		return nil
	case '$', '=', '!':
		return r.string(value)
	case '*', '~', '>':
		return r.array(value, 1)
	case '%':
		return r.array(value, 2)
	}
	return errNotRedis
}

// string begins one of that many bytes.
func (r *replies) string(value []byte) error {
	n, ok := length(value, MaxBody)
	if !ok {
		return fmt.Errorf("answer: %w: string of %.20q bytes, at most %d", ErrTooLarge, value, MaxBody)
	}
	if n < 0 {
		r.closed()
		return nil
	}
	r.body = n + len("\r\n")
	return nil
}

// array begins one of that many times each elements.
func (r *replies) array(value []byte, each int) error {
	n, ok := length(value, maxElems/each)
	if !ok || n > 0 && r.depth == maxNested {
		return fmt.Errorf("answer: %w: array of %.20q elements in %d others", ErrTooLarge, value, r.depth)
	}
	if n <= 0 {
		r.closed()
		return nil
	}
	r.open[r.depth] = each * n
	r.depth++
	return nil
}

// closed says that an element is complete, and with it perhaps the arrays that it
// is the last of.
func (r *replies) closed() {
	for r.depth > 0 {
		r.open[r.depth-1]--
		if r.open[r.depth-1] > 0 {
			return
		}
		r.depth--
	}
}

// length reads a length from -1 to most.
func length(b []byte, most int) (n int, ok bool) {
	if string(b) == "-1" {
		return -1, true
	}
	if len(b) == 0 || len(b) > 9 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, n <= most
}
