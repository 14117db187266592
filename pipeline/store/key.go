package store

import (
	"strings"
)

// MaxPrefix is the longest prefix of keys in Redis, in bytes.
const MaxPrefix = 64

const hexDigits = "0123456789ABCDEF"

// plain says whether a byte stands for itself in a key: nothing that means
// something in a glob pattern, a hash tag or a terminal.
func plain(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' ||
		b == '.' || b == '_' || b == '-' || b == '@' || b == ':'
}

// escapeKey writes a key with %XX for what is not plain: one form for each key.
func escapeKey(key string) string {
	var b strings.Builder
	for i := range len(key) {
		if plain(key[i]) {
			b.WriteByte(key[i])
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[key[i]>>4])
		b.WriteByte(hexDigits[key[i]&15])
	}
	return b.String()
}

// unescapeKey undoes escapeKey; false: it is not of escapeKey.
func unescapeKey(s string) (string, bool) {
	if len(s) > 3*MaxKey {
		return "", false
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		high, low := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		b = append(b, byte(high<<4|low))
		i += 2
	}
	key := string(b)
	return key, key != "" && len(key) <= MaxKey && escapeKey(key) == s
}

// validPrefix says whether keys may begin with p.
func validPrefix(p string) bool {
	if p == "" || len(p) > MaxPrefix {
		return false
	}
	for i := range len(p) {
		if !plain(p[i]) {
			return false
		}
	}
	return true
}
