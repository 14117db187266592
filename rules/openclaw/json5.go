package openclaw

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/titanous/json5"
)

// maxDepth bounds how deep objects and lists nest. The decoder has no bound, and a
// goroutine's stack has one that ends the process.
const maxDepth = 200

// decode gives the values of a JSON5 text. An error begins with line and column.
func decode(b []byte) (any, error) {
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	text, at, err := blank(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place(b, at), err)
	}
	var root any
	if err := json5.Unmarshal(text, &root); err != nil {
		at := len(b)
		if syntax, ok := errors.AsType[*json5.SyntaxError](err); ok {
			at = int(syntax.Offset) - 1
		}
		return nil, fmt.Errorf("%s: is no JSON5: %w", place(b, at), err)
	}
	return root, nil
}

// place gives line and column of the byte at an offset, both from 1.
func place(b []byte, offset int) string {
	before := b[:max(0, min(offset, len(b)))]
	return fmt.Sprintf("%d:%d", bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n'))
}

var (
	errDeep    = fmt.Errorf("nests deeper than %d", maxDepth)
	errComment = errors.New("has a comment without an end")
)

// blank gives the text with spaces in place of its comments, byte for byte. (The
// decoder ends a comment at the first slash that follows any asterisk in it.) It
// knows of strings and brackets beside, and tells where there are too many.
func blank(b []byte) (text []byte, at int, err error) {
	text = bytes.Clone(b)
	depth := 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case '{', '[':
			if depth++; depth > maxDepth {
				return nil, i, errDeep
			}
		case '}', ']':
			depth--
		case '"', '\'':
			for i++; i < len(b) && b[i] != c; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '/':
			n, err := comment(b[i:])
			if err != nil {
				return nil, i, err
			}
			for j := i; j < i+n; j++ {
				if text[j] != '\n' {
					text[j] = ' '
				}
			}
			i += max(0, n-1)
		}
	}
	return text, 0, nil
}

// comment gives the length of the comment that b begins with; 0: it is none.
func comment(b []byte) (int, error) {
	switch {
	case bytes.HasPrefix(b, []byte("//")):
		if n := bytes.IndexAny(b, "\r\n\u2028\u2029"); n >= 0 {
			return n, nil
		}
		return len(b), nil
	case bytes.HasPrefix(b, []byte("/*")):
		n := bytes.Index(b[2:], []byte("*/"))
		if n < 0 {
			return 0, errComment
		}
		return n + 4, nil
	}
	return 0, nil
}
