package policies

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// maxFile bounds a file of policies in bytes: what one gRPC call takes.
const maxFile = 4 << 20

// Read parses files, and of folders all *.yaml and *.yml. The policies come in
// the order of paths and names. The error lists every fault.
func Read(paths []string) ([]Policy, error) {
	var out []Policy
	var faults []error
	where := map[string]string{}
	for _, path := range paths {
		files, err := filesOf(path)
		if err != nil {
			faults = append(faults, err)
		}
		for _, file := range files {
			text, err := readFile(file)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			found, err := Parse(file, text)
			if err != nil {
				faults = append(faults, err)
			}
			for _, p := range found {
				key := p.Namespace + "/" + p.Name
				if other, twice := where[key]; twice {
					faults = append(faults, fmt.Errorf("%s: %s is in two files, also in %s", file, p.Name, other))
				}
				where[key] = file
			}
			out = append(out, found...)
		}
	}
	return out, errors.Join(faults...)
}

func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && slices.Contains([]string{".yaml", ".yml"}, ext) {
			out = append(out, filepath.Join(path, e.Name()))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no *.yaml and no *.yml", path)
	}
	return out, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		return nil, fmt.Errorf("%s is over %d bytes", path, maxFile)
	}
	return text, err
}
