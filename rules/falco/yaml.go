package falco

import (
	"bytes"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// Items of a rules file, with the keys that Falco knows.
type (
	engineItem struct {
		Version string `yaml:"required_engine_version"`
	}
	pluginItem struct {
		Versions []plugin `yaml:"required_plugin_versions"`
	}
	plugin struct {
		Name    string `yaml:"name"`
		Version string `yaml:"version"`
	}
	listItem struct {
		List  string   `yaml:"list"`
		Items []string `yaml:"items"`
	}
	macroItem struct {
		Macro     string  `yaml:"macro"`
		Condition literal `yaml:"condition"`
	}
	ruleItem struct {
		Rule      string   `yaml:"rule"`
		Desc      string   `yaml:"desc"`
		Condition literal  `yaml:"condition"`
		Output    string   `yaml:"output"`
		Priority  string   `yaml:"priority"`
		Tags      []string `yaml:"tags,flow"`
	}
)

// literal is text that keeps its lines.
type literal string

// MarshalYAML writes it as a block.
func (l literal) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.LiteralStyle, Value: string(l)}, nil
}

// encode writes the items as one list, with a blank line in front of each.
func encode(items []any) (string, error) {
	var b bytes.Buffer
	for _, item := range items {
		b.WriteString("\n")
		enc := yaml.NewEncoder(&b)
		enc.SetIndent(2)
		if err := enc.Encode([]any{item}); err != nil {
			return "", fmt.Errorf("write YAML: %w", err)
		}
		if err := enc.Close(); err != nil {
			return "", fmt.Errorf("write YAML: %w", err)
		}
	}
	return b.String(), nil
}

func joined(values []string) string { return strings.Join(values, ", ") }
