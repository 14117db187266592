package config

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a secret shows of itself.
const redacted = "<secret>"

// Secret is a token, a password, or a URL that holds one. Printed with fmt,
// slog, encoding/json, go-json-experiment/json or yaml.v3 it gives "<secret>",
// or nothing where it is empty, so that one can still see whether it was set.
// It is read from YAML and JSON like any string. Keep it in exported fields:
// fmt looks through unexported ones without asking their methods.
type Secret string

var (
	_ fmt.Formatter  = Secret("")
	_ fmt.Stringer   = Secret("")
	_ slog.LogValuer = Secret("")
)

// Reveal gives the secret itself, for the one place that has to send it.
func (s Secret) Reveal() string { return string(s) }

// String gives "<secret>", or "" for an empty one.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format prints String whatever the verb is: %x and %q would show the bytes.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.String()) // fmt's buffer takes everything
}

// LogValue gives String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText gives String, for JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
