package probe

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

const (
	maxSecretFile = 1 << 20
	// minSecret is the length in bytes below which a value is no secret.
	minSecret = 8
	// maxDepth bounds how deep JSON is looked into.
	maxDepth = 32
	// maxField bounds the name of a place in a file, in bytes, and maxSecrets the
	// places of one file: keys are as long and as many as who writes it likes.
	maxField   = 512
	maxSecrets = 1000
)

// secretKey matches the keys under which OpenClaw and its plugins keep secrets.
var secretKey = regexp.MustCompile(`(?i)^(key|.*api[-_]?key|.*token|access|refresh|.*secret|.*password|.*passphrase|.*private[-_]?key)$`)

// variable matches the name of a variable, which models.json may have in the place
// of a key.
var variable = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// variableName matches what a .env may call a variable.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,254}$`)

// secretReader collects where secrets stand. It keeps no value: the key of its
// marks is made anew for each.
type secretReader struct {
	key   []byte
	found scan.Secrets
	here  int // of found, in the file that is read
}

func newSecretReader() *secretReader { return &secretReader{key: newKey()} }

// read looks into a file that may hold secrets of an agent.
func (s *secretReader) read(r *os.Root, name string, f scan.File) {
	if f.Agent == "" {
		return
	}
	base := path.Base(name)
	if strings.Contains(base, ".sqlite") {
		if strings.HasSuffix(base, ".sqlite") {
			s.unread(f.Path, "SQLite databases are not read")
		}
		return
	}
	if !strings.HasSuffix(base, ".json") && base != ".env" {
		return // keys of ssh and their like are no copies of an API key
	}
	file, err := open(r, name)
	if err != nil {
		s.unread(f.Path, reason(err))
		return
	}
	defer file.Close()
	b, err := readAll(file, maxSecretFile)
	if err != nil {
		s.unread(f.Path, reason(err))
		return
	}
	s.here = 0
	if base == ".env" {
		for name, value := range variables(b) {
			s.add(f, name, value)
		}
	} else {
		var tree any
		if err := json.Unmarshal(b, &tree); err != nil {
			s.unread(f.Path, "it is not JSON")
			return
		}
		s.tree(f, nil, tree)
	}
}

// sorted gives what was found, by file and field.
func (s *secretReader) sorted() scan.Secrets {
	slices.SortStableFunc(s.found.Found, func(a, b scan.Secret) int {
		return slices.Compare([]string{a.File, a.Field}, []string{b.File, b.Field})
	})
	return s.found
}

func (s *secretReader) unread(path, why string) {
	s.found.Unread = append(s.found.Unread, scan.Name(path)+": "+why)
}

// tree adds the strings that stand at keys for secrets.
func (s *secretReader) tree(f scan.File, keys []string, v any) {
	if len(keys) > maxDepth {
		s.unread(f.Path, "it is too deep")
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			s.tree(f, append(keys, k), v[k])
		}
	case []any:
		for i, e := range v {
			s.tree(f, append(keys, strconv.Itoa(i)), e)
		}
	case string:
		if len(keys) > 0 && secretKey.MatchString(keys[len(keys)-1]) && !variable.MatchString(v) {
			s.add(f, field(keys), v)
		}
	}
}

// field names a place in a file.
func field(keys []string) string {
	var out strings.Builder
	for i, k := range keys {
		if i > 0 {
			out.WriteByte('.')
		}
		if room := maxField - out.Len(); len(k) > room {
			out.WriteString(strings.ToValidUTF8(k[:max(room, 0)], "") + "…")
			break
		}
		out.WriteString(k)
	}
	return out.String()
}

func (s *secretReader) add(f scan.File, field, value string) {
	if len(value) < minSecret || strings.Contains(value, "${") {
		return
	}
	switch s.here++; {
	case s.here == maxSecrets+1:
		s.unread(f.Path, fmt.Sprintf("it has more than %d secrets", maxSecrets))
		return
	case s.here > maxSecrets:
		return
	}
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(value))
	s.found.Found = append(s.found.Found, scan.Secret{
		Mark: hex.EncodeToString(mac.Sum(nil)), Agent: f.Agent, File: f.Path, Field: field,
	})
}

// variables reads a .env: NAME=value a line, with export before it or quotes
// around the value.
func variables(b []byte) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		name, value, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !ok || !variableName.MatchString(name) {
			continue // what stands in the middle of a value may be a secret itself
		}
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		out[name] = value
	}
	return out
}
