package event

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxDepth bounds the nesting of a record; the recorded ones reach 7.
	maxDepth = 64
	// maxErrorText bounds what an error tells of a record, in runes.
	maxErrorText = 200
	jsonSpace    = " \t\r\n"
)

// ownRecord checks that raw is one JSON object, strictly (no key twice, no
// invalid UTF-8, nothing after it), and returns a copy of it on one line.
//
// A string with half a surrogate pair ("\ud83d") is what JavaScript makes of a
// text that was cut inside an emoji. Refusing it would let an agent hide its
// events, so U+FFFD takes the place of the half.
func ownRecord(raw []byte) ([]byte, error) {
	raw = bytes.Trim(raw, jsonSpace)
	if !jsontext.Value(raw).IsValid() {
		var err error
		if raw, err = withoutHalfSurrogates(raw); err != nil {
			return nil, err
		}
	}
	if raw[0] != '{' {
		return nil, fmt.Errorf("got %s, want an object", kindName(raw[0]))
	}
	return appendOneLine(make([]byte, 0, len(raw)), raw), nil
}

func withoutHalfSurrogates(raw []byte) ([]byte, error) {
	if len(raw) == 0 {
		return nil, errors.New("empty record")
	}
	if !utf8.Valid(raw) {
		return nil, errors.New("invalid UTF-8")
	}
	fixed, err := jsontext.AppendFormat(nil, raw, jsontext.AllowInvalidUTF8(true))
	if err != nil { // its text has a pointer made of the sender's keys
		return nil, errors.New(Clean(err.Error(), maxErrorText))
	}
	return fixed, nil
}

// appendOneLine appends JSON without its line breaks, which in valid JSON stand
// between tokens only.
func appendOneLine(dst, js []byte) []byte {
	for {
		i := bytes.IndexByte(js, '\n')
		if cr := bytes.IndexByte(js[:max(i, 0)], '\r'); cr >= 0 || i < 0 {
			i = cr
		}
		if i < 0 {
			return append(dst, js...)
		}
		dst = append(dst, js[:i]...)
		js = js[i+1:]
	}
}

// cursor walks JSON that [ownRecord] has accepted, so it looks for no mistakes
// of syntax; on other bytes it finds nonsense but neither panics nor reads a
// byte twice. Its first mistake stays in err and moves it to the end.
type cursor struct {
	b     []byte
	i     int
	depth int
	err   error
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.i = len(c.b)
}

// kind gives the first byte of the value that comes next; 0 at the end.
func (c *cursor) kind() byte {
	for c.i < len(c.b) {
		switch b := c.b[c.i]; b {
		case ' ', '\t', '\r', '\n', ',', ':':
			c.i++
		default:
			return b
		}
	}
	return 0
}

// members walks the object that comes next. A value that the loop's body leaves
// alone is skipped. Anything but an object, null too, is skipped as a whole.
func (c *cursor) members(yield func(key []byte) bool) {
	if c.kind() != '{' {
		c.skip()
		return
	}
	c.enter()
	for c.more('}') {
		key := unescape(c.quoted())
		c.kind()
		at := c.i
		if !yield(key) {
			return
		}
		if c.i == at {
			c.skip()
		}
	}
}

// elements walks the array that comes next, as members does an object.
func (c *cursor) elements(yield func(n int) bool) {
	if c.kind() != '[' {
		c.skip()
		return
	}
	c.enter()
	for n := 0; c.more(']'); n++ {
		at := c.i
		if !yield(n) {
			return
		}
		if c.i == at {
			c.skip()
		}
	}
}

func (c *cursor) enter() {
	c.i++
	if c.depth++; c.depth > maxDepth {
		c.fail(errTooDeep)
	}
}

var errTooDeep = fmt.Errorf("nested deeper than %d levels", maxDepth)

// more says whether a member comes before the end of the object or array.
func (c *cursor) more(end byte) bool {
	switch c.kind() {
	case 0:
		return false
	case end:
		c.i++
		c.depth--
		return false
	default:
		return true
	}
}

// skip moves past the value that comes next.
func (c *cursor) skip() {
	switch c.kind() {
	case 0:
	case '"':
		c.quoted()
	case '{', '[':
		c.skipNested()
	default:
		c.i++ // so that nonsense cannot hold it in place
		for c.i < len(c.b) && !ends(c.b[c.i]) {
			c.i++
		}
	}
}

// ends says whether a byte ends a number or a literal.
func ends(b byte) bool {
	switch b {
	case ',', ']', '}', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

func (c *cursor) skipNested() {
	for open := 0; c.i < len(c.b); {
		switch c.b[c.i] {
		case '"':
			c.quoted()
			continue
		case '{', '[':
			if open++; c.depth+open > maxDepth {
				c.fail(errTooDeep)
				return
			}
		case '}', ']':
			open--
		}
		c.i++
		if open <= 0 {
			return
		}
	}
}

// value gives the bytes of the value that comes next; they are c's.
func (c *cursor) value() []byte {
	c.kind()
	from := c.i
	c.skip()
	if c.err != nil {
		return nil
	}
	return c.b[from:c.i:c.i]
}

// quoted gives what stands between the quotes of the string that comes next,
// with its escapes.
func (c *cursor) quoted() []byte {
	if c.kind() != '"' {
		c.skip()
		return nil
	}
	c.i++
	from := c.i
	for c.i < len(c.b) {
		n := bytes.IndexByte(c.b[c.i:], '"')
		if n < 0 {
			break
		}
		c.i += n + 1
		slashes := 0
		for at := c.i - 2; at >= from && c.b[at] == '\\'; at-- {
			slashes++
		}
		if slashes%2 == 0 {
			return c.b[from : c.i-1]
		}
	}
	c.i = len(c.b)
	return c.b[from:]
}

// unescape gives the text of a quoted string: s itself where nothing is escaped.
func unescape(s []byte) []byte {
	if bytes.IndexByte(s, '\\') < 0 {
		return s
	}
	quoted := make([]byte, 0, len(s)+2)
	quoted = append(append(append(quoted, '"'), s...), '"')
	text, err := jsontext.AppendUnquote(make([]byte, 0, len(s)), quoted)
	if err != nil { // not in JSON that was checked
		return s
	}
	return text
}

// text reads a string; "" for null. Another kind is an error that names key.
func (c *cursor) text(key string) string { return string(c.bytes(key)) }

// bytes is text without a copy: what it returns is valid as long as c.b.
func (c *cursor) bytes(key string) []byte {
	switch k := c.kind(); k {
	case '"':
		return unescape(c.quoted())
	case 'n':
		c.skip()
	default:
		c.fail(fmt.Errorf("%s: got %s, want a string", key, kindName(k)))
	}
	return nil
}

// textIfAny reads a string; "" for any other kind.
func (c *cursor) textIfAny() string {
	if c.kind() != '"' {
		c.skip()
		return ""
	}
	return string(unescape(c.quoted()))
}

// uint reads an integer of at most the given bits, also from a string, which is
// how protobuf writes 64 bits; 0 for null.
func (c *cursor) uint(key string, bits int) uint64 {
	digits := c.number()
	if string(digits) == "null" {
		return 0
	}
	n, err := strconv.ParseUint(string(digits), 10, bits)
	if err != nil {
		c.fail(fmt.Errorf("%s: %s is no unsigned %d-bit number", key, Clean(string(digits), 40), bits))
	}
	return n
}

// int32 reads an integer; 0 for null.
func (c *cursor) int32(key string) int32 {
	digits := c.number()
	if string(digits) == "null" {
		return 0
	}
	n, err := strconv.ParseInt(string(digits), 10, 32)
	if err != nil {
		c.fail(fmt.Errorf("%s: %s is no 32-bit number", key, Clean(string(digits), 40)))
	}
	return int32(n)
}

// number gives the text of a number, in quotes or not.
func (c *cursor) number() []byte {
	if c.kind() == '"' {
		return c.quoted()
	}
	return c.value()
}

// object says whether an object comes next; null is skipped. Another kind is an
// error that names key.
func (c *cursor) object(key string) bool {
	switch k := c.kind(); k {
	case '{':
		return true
	case 'n':
		c.skip()
	default:
		c.fail(fmt.Errorf("%s: got %s, want an object", key, kindName(k)))
	}
	return false
}

func kindName(k byte) string {
	switch k {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	case 0:
		return "nothing"
	default:
		return "a number"
	}
}

// parseTime reads RFC 3339; zero where it cannot be read or has a year that
// RFC 3339 cannot write in UTC.
func parseTime(s []byte) time.Time {
	var t time.Time
	if err := t.UnmarshalText(s); err != nil {
		return time.Time{}
	}
	return inRange(t)
}

// inRange gives t in UTC; zero outside the years that RFC 3339 can write.
func inRange(t time.Time) time.Time {
	t = t.UTC()
	if y := t.Year(); y < 1 || y > 9999 {
		return time.Time{}
	}
	return t
}
