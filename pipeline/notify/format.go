package notify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Format writes an alert as one kind of receiver wants it. Implementations are
// safe for concurrent use and give the same payload for the same alert.
type Format interface {
	// Encode keeps to the receiver's documented limits and makes the alert's
	// attacker text harmless there.
	Encode(a Alert) (Payload, error)
}

// Payload is the body of one HTTP POST.
type Payload struct {
	Body        []byte
	ContentType string
}

// formats are all there are: a new one is a line here, a file and its golden.
var formats = map[string]Format{
	"generic": generic{},
	"slack":   slackFormat{},
}

// Formats gives every format by its name in the config. The map is the caller's.
func Formats() map[string]Format { return maps.Clone(formats) }

// FormatNamed gives the format of that name; the error lists those there are.
func FormatNamed(name string) (Format, error) {
	f, ok := formats[name]
	if !ok {
		return nil, fmt.Errorf("format %q is none of %s", name, strings.Join(slices.Sorted(maps.Keys(formats)), ", "))
	}
	return f, nil
}
