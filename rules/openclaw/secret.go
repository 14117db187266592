package openclaw

import (
	"regexp"

	"github.com/guard0-ai/g0-sidecar/config"
)

// Secret is a key or password of openclaw.json: one written there, or the name of
// where it is.
type Secret struct {
	// Value stands in the file itself. Empty: none does.
	Value config.Secret
	// Elsewhere says that the file only names it: an object (SecretRef), or
	// "${VARIABLE}".
	Elsewhere bool
}

// Set says whether there is one at all.
func (s Secret) Set() bool { return s.Value != "" || s.Elsewhere }

// Present notes that a key has a value which is not read further.
type Present bool

// variable is a value that is nothing but the name of a variable.
var variable = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`)

func (s *Secret) read(v any) bool {
	switch v := v.(type) {
	case string:
		if variable.MatchString(v) {
			s.Elsewhere = true
		} else {
			s.Value = config.Secret(v)
		}
		return true
	case map[string]any:
		s.Elsewhere = true
		return true
	}
	return false
}
