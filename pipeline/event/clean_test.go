package event

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	tests := []struct {
		name, in string
		max      int
		want     string
	}{
		{"plain", "cat /etc/passwd", 20, "cat /etc/passwd"},
		{"plain, just fits", "abcde", 5, "abcde"},
		{"plain, cut", "abcdef", 5, "abcd…"},
		{"runes, just fit", "äöüßé", 5, "äöüßé"},
		{"runes, cut", "äöüßéx", 5, "äöüß…"},
		{"to one", "ab", 1, "…"},
		{"nothing asked", "ab", 0, ""},
		{"less than nothing asked", "ab", -1, ""},
		{"empty", "", 5, ""},
		{"lines", "a\nb\tc\r\nd", 20, "a b c  d"},
		{"escape", "\x1b[31mred\x07\x00\x7f\u009b", 20, "\uFFFD[31mred\uFFFD\uFFFD\uFFFD\uFFFD"},
		{"bidi", "a\u202egpj.exe\u2066b\u2069\u200f", 20, "a\uFFFDgpj.exe\uFFFDb\uFFFD\uFFFD"},
		{"zero width, tags", "a\u200bb\U000e0041", 20, "a\uFFFDb\uFFFD"},
		{"line separators, odd spaces", "a\u2028b\u00a0c\u3000d\u0085e", 20, "a b c d e"},
		{"invalid UTF-8", "a\xffb\xc3", 20, "a\uFFFDb\uFFFD"},
		{"other scripts", "日本語 🦞 naïve", 20, "日本語 🦞 naïve"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Clean(tt.in, tt.max); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b]0;title\x07 \u202e 🦞 \xff", 7)
	f.Add(strings.Repeat("é", 100), 50)
	f.Fuzz(func(t *testing.T, s string, max int) {
		got := Clean(s, max)
		checkClean(t, got)
		if n := utf8.RuneCountInString(got); n > 0 && n > max {
			t.Errorf("%d runes, at most %d", n, max)
		}
		if again := Clean(got, max); again != got {
			t.Errorf("cleaned twice: %q, then %q", got, again)
		}
	})
}

// checkClean says what no terminal must ever get.
func checkClean(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("%q is not UTF-8", s)
	}
	for _, r := range s {
		switch {
		case r < ' ', r >= 0x7f && r <= 0x9f,
			r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f,
			r == 0xfeff, r == 0x061c:
			t.Errorf("%q has %U", s, r)
		}
	}
}
