package redact

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// mark stands for a value whose name says that it is a secret.
const mark = "<secret>"

// secretNames are parts of names whose string values are secrets, in lower case
// and without - and _.
var secretNames = []string{"password", "passwd", "passphrase", "secret", "apikey", "accesskey", "privatekey", "authorization", "credential"}

// JSON appends the JSON value src with [Text] applied to each string in it, names
// included, and with the members of the object itself that are called drop left
// out. The value of a member whose name says that it is a secret is taken out
// whole, if it is a string or strings of a list. What is no JSON is an error.
func JSON(dst, src []byte, drop ...string) ([]byte, error) {
	var out bytes.Buffer
	dec := jsontext.NewDecoder(bytes.NewReader(src), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	enc := jsontext.NewEncoder(&out, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	var name, top string // of the member, and of that of the object itself
	for {
		kind, n := dec.StackIndex(dec.StackDepth())
		isName := kind == jsontext.KindBeginObject && n%2 == 0
		tok, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return append(dst, bytes.TrimSpace(out.Bytes())...), nil
		}
		if err != nil {
			return nil, fmt.Errorf("redact: %w", err)
		}
		if tok.Kind() == jsontext.KindString {
			s := tok.String()
			switch {
			case isName && dec.StackDepth() == 1 && contains(drop, s):
				if err := dec.SkipValue(); err != nil {
					return nil, fmt.Errorf("redact: %w", err)
				}
				continue
			case isName:
				if name = s; dec.StackDepth() == 1 {
					top = s
				}
				tok = jsontext.String(Text(s))
			case s != "" && isSecretName(top, name):
				tok = jsontext.String(mark)
			default:
				tok = jsontext.String(Text(s))
			}
		}
		if err := enc.WriteToken(tok); err != nil {
			return nil, fmt.Errorf("redact: %w", err)
		}
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

var bare = strings.NewReplacer("-", "", "_", "")

// isSecretName says whether a name's value is a secret. The token in an event's
// origin is a token's name.
func isSecretName(top, name string) bool {
	name = bare.Replace(strings.ToLower(name))
	return containsAny(name, secretNames) || strings.HasSuffix(name, "token") && top != "origin"
}
