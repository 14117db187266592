package probe

import (
	"errors"
	"io"
	"os"
	"path"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	maxRuleFiles = 256
	maxRuleFile  = 4 << 20
)

// falcoRules adds the names of the rules in Falco's configuration folder: those
// of falco_rules.local.yaml and of rules.d.
func falcoRules(dir string, names map[string]bool) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	files := []string{"falco_rules.local.yaml"}
	if d, err := root.Open("rules.d"); err == nil {
		entries, err := d.ReadDir(maxRuleFiles)
		if err = errors.Join(ignoreEOF(err), d.Close()); err != nil {
			return err
		}
		for _, e := range entries {
			if ext := path.Ext(e.Name()); ext == ".yaml" || ext == ".yml" {
				files = append(files, path.Join("rules.d", e.Name()))
			}
		}
	}
	for _, name := range files {
		f, err := open(root, name)
		if err != nil {
			continue // a file that Falco may not have either
		}
		b, err := readAll(f, maxRuleFile)
		if err = errors.Join(err, f.Close()); err == nil {
			ruleNames(b, names)
		}
	}
	return nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// ruleNames adds the names of the rules in a file that Falco would take.
func ruleNames(b []byte, names map[string]bool) {
	var items []struct {
		Rule    string `yaml:"rule"`
		Enabled *bool  `yaml:"enabled"`
	}
	if err := yaml.Unmarshal(b, &items); err != nil {
		return
	}
	for _, i := range items {
		if name := strings.TrimSpace(i.Rule); name != "" {
			names[name] = i.Enabled == nil || *i.Enabled
		}
	}
	for name, on := range names {
		if !on {
			delete(names, name)
		}
	}
}
