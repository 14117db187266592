package receiver

import (
	"bytes"
	"iter"
)

// A body is one JSON object, a JSON array of objects, or JSONL, whatever its
// Content-Type says. The functions here find where each record begins and ends
// without judging it; the parsers do that, so that one bad record costs no other.

// Faults of records that never reach a parser.
const (
	faultNotObject = "not a JSON object"
	faultEmpty     = "an element is missing between commas"
	faultOpen      = "the array is not closed"
	faultAfter     = "there is something after the array"
)

// record is one candidate for an event.
type record struct {
	// line counts from 1: lines of JSONL, elements of an array.
	line int
	// raw is a part of the body.
	raw []byte
	// fault says why it cannot be an event; empty: a parser has to judge.
	fault string
}

// shape is how a body holds its records.
type shape uint8

const (
	shapeEmpty shape = iota
	shapeOne
	shapeArray
	shapeLines
)

// shapeOf tells the shape of a body without a byte order mark.
func shapeOf(body []byte) shape {
	trimmed := trimSpace(body)
	switch {
	case len(trimmed) == 0:
		return shapeEmpty
	case trimmed[0] == '[':
		return shapeArray
	case isLines(trimmed):
		return shapeLines
	default:
		return shapeOne
	}
}

// records gives the records of a body of shape s in order. An empty array has
// none.
func records(body []byte, s shape) iter.Seq[record] {
	switch s {
	case shapeEmpty:
		return func(func(record) bool) {}
	case shapeArray:
		return elements(trimSpace(body))
	case shapeLines:
		return jsonLines(body)
	default:
		return func(yield func(record) bool) { yield(newRecord(1, trimSpace(body))) }
	}
}

// trimMark takes off a byte order mark, which RFC 8259 lets us ignore.
func trimMark(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) }

// isLines tells JSONL from one object written over many lines. What decides is
// the first line, and if it is damaged, whether a later line begins an object at
// its first column, which printed objects do not do inside.
func isLines(trimmed []byte) bool {
	first := bytes.IndexByte(trimmed, '\n')
	if first < 0 {
		return false
	}
	switch end := valueEnd(trimmed); {
	case end < 0:
	case end <= first:
		return true
	case len(trimSpace(trimmed[end:])) == 0:
		return false
	}
	return bytes.Contains(trimmed, []byte("\n{"))
}

// jsonLines gives the lines that are not blank.
func jsonLines(body []byte) iter.Seq[record] {
	return func(yield func(record) bool) {
		for n := 1; len(body) > 0; n++ {
			line := body
			if i := bytes.IndexByte(body, '\n'); i >= 0 {
				line, body = body[:i], body[i+1:]
			} else {
				body = nil
			}
			if line = trimSpace(line); len(line) > 0 && !yield(newRecord(n, line)) {
				return
			}
		}
	}
}

// elements gives the elements of an array, which begins the body.
func elements(body []byte) iter.Seq[record] {
	return func(yield func(record) bool) {
		rest := body[1:]
		for n := 1; ; n++ {
			raw, separator, after := cutElement(rest)
			switch {
			case len(raw) > 0:
				if !yield(newRecord(n, raw)) {
					return
				}
			case separator == 0 || n == 1 && separator == ']':
				n-- // there is no element: the array is cut off here, or empty
			case !yield(record{line: n, fault: faultEmpty}):
				return
			}
			switch {
			case separator == ',':
				rest = after
				continue
			case separator == 0:
				yield(record{line: n + 1, fault: faultOpen})
			case len(trimSpace(after)) > 0:
				yield(record{line: n + 1, fault: faultAfter})
			}
			return
		}
	}
}

func newRecord(line int, raw []byte) record {
	rec := record{line: line, raw: raw}
	if len(raw) == 0 || raw[0] != '{' {
		rec.fault = faultNotObject
	}
	return rec
}

// cutElement cuts body after the first comma or closing bracket that belongs to
// no inner value or string: that is separator, 0 if there is none.
func cutElement(body []byte) (element []byte, separator byte, after []byte) {
	depth := 0
	for i := 0; i < len(body); i++ {
		switch c := body[i]; c {
		case '"':
			i = stringEnd(body, i)
		case '{', '[':
			depth++
		case '}':
			depth = max(0, depth-1) // one too many is the parser's to refuse
		case ',', ']':
			if depth == 0 {
				return trimSpace(body[:i]), c, body[i+1:]
			}
			if c == ']' {
				depth--
			}
		}
	}
	return trimSpace(body), 0, nil
}

// valueEnd gives the place after the object that begins body; -1 if there is
// none, it does not end, or a string in it runs over the end of a line.
func valueEnd(body []byte) int {
	if body[0] != '{' {
		return -1
	}
	depth := 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			end := stringEnd(body, i)
			if bytes.IndexByte(body[i:min(end, len(body))], '\n') >= 0 {
				return -1
			}
			i = end
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth <= 0 {
				return i + 1
			}
		}
	}
	return -1
}

// stringEnd gives the place of the quote that ends the string beginning at i;
// len(body) if there is none.
func stringEnd(body []byte, i int) int {
	for i++; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(body)
}

// trimSpace cuts JSON's white space (RFC 8259, section 2) and no other.
func trimSpace(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }
