package config

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

const token = "xoxb-T0KEN-abc"

type holder struct {
	URL     Secret
	Next    *Secret
	Headers map[string]Secret
	List    []Secret
}

func newHolder() holder {
	s := Secret(token)
	return holder{URL: s, Next: &s, Headers: map[string]Secret{"Authorization": s}, List: []Secret{s}}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	h := newHolder()
	values := map[string]any{
		"bare": h.URL, "struct": h, "pointer": &h, "map": h.Headers, "slice": h.List,
		"interface": any(h.URL), "error": fmt.Errorf("post %s: %w", h.URL, errors.New("refused")),
	}
	ways := map[string]func(any) (string, error){
		"slog text": func(v any) (string, error) { return logged(v, false), nil },
		"slog json": func(v any) (string, error) { return logged(v, true), nil },
		"json v1":   func(v any) (string, error) { b, err := stdjson.Marshal(v); return string(b), err },
		"json v2":   func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
		"yaml":      func(v any) (string, error) { b, err := yaml.Marshal(v); return string(b), err },
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%10.3s"} {
		ways[verb] = func(v any) (string, error) { return fmt.Sprintf(verb, v), nil }
	}
	leaks := []string{token, token[:6], fmt.Sprintf("%x", token), fmt.Sprintf("%X", token), fmt.Sprintf("% x", token)}
	for what, v := range values {
		for how, print := range ways {
			t.Run(what+"/"+how, func(t *testing.T) {
				got, err := print(v)
				if err != nil && what != "error" {
					t.Fatal(err)
				}
				for _, leak := range leaks {
					if strings.Contains(got, leak) {
						t.Errorf("%q shows the secret", got)
					}
				}
			})
		}
	}
}

func logged(v any, asJSON bool) string {
	var buf bytes.Buffer
	var h slog.Handler = slog.NewTextHandler(&buf, nil)
	if asJSON {
		h = slog.NewJSONHandler(&buf, nil)
	}
	slog.New(h).Info("message", "value", v)
	return buf.String()
}

func TestSecretShowsWhetherItIsSet(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   Secret
		want string
	}{
		{"set", token, "<secret>"},
		{"empty", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, got := range []string{tc.in.String(), fmt.Sprint(tc.in), tc.in.LogValue().String()} {
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestSecretIsRead(t *testing.T) {
	for name, read := range map[string]func(*holder) error{
		"yaml":    func(h *holder) error { return yaml.Unmarshal([]byte(`url: "`+token+`"`), h) },
		"json v1": func(h *holder) error { return stdjson.Unmarshal([]byte(`{"URL":"`+token+`"}`), h) },
		"json v2": func(h *holder) error { return json.Unmarshal([]byte(`{"URL":"`+token+`"}`), h) },
	} {
		t.Run(name, func(t *testing.T) {
			var h holder
			if err := read(&h); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(token, h.URL.Reveal()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
