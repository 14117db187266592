package deployment

import (
	"strings"
	"testing"
)

func TestCommentHoldsWhateverItIsGiven(t *testing.T) {
	long := strings.Repeat("a word ", 40)
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "#\n"},
		{"a sentence", "g0 wrote this.", "# g0 wrote this.\n"},
		{"a line break", "a\nrule", "# a rule\n"},
		{"what a terminal obeys", "a\x1b[31m\u202eb\x00\xff", "# a\\x1b[31m\\u202eb\\x00\\ufffd\n"},
		{"a wide sign", "größer ist ✓", "# größer ist ✓\n"},
	} {
		if got := Comment(tt.text); got != tt.want {
			t.Errorf("%s: %q, not %q", tt.name, got, tt.want)
		}
	}
	for line := range strings.Lines(Comment(long + strings.Repeat("x", 10_000))) {
		if !strings.HasPrefix(line, "# ") || len(line) > 1100 {
			t.Errorf("%q", line)
		}
	}
}
