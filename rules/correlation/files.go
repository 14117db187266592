package correlation

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MaxFile bounds a rule or test file, in bytes.
const MaxFile = 1 << 20

//go:embed *.yaml
var builtin embed.FS

// File is a rule file or a test file.
type File struct {
	// Name as messages show it.
	Name string
	Data []byte
}

// IsTest says whether the file holds test cases, by its name: rules.test.yaml
// tests rules.yaml.
func (f File) IsTest() bool { return f.Tested() != "" }

// Tested is the name of the file that a test file tests; "" if it is none.
func (f File) Tested() string {
	ext := filepath.Ext(f.Name)
	if base, ok := strings.CutSuffix(strings.TrimSuffix(f.Name, ext), ".test"); ok {
		return base + ext
	}
	return ""
}

// Builtin gives the files of the built-in rules and their tests, in the order of
// their names. The caller owns them.
func Builtin() []File {
	entries, err := builtin.ReadDir(".")
	if err != nil { // what is compiled in can be read
		panic(fmt.Sprintf("correlation: %v", err))
	}
	var out []File
	for _, e := range entries {
		data, err := builtin.ReadFile(e.Name())
		if err != nil {
			panic(fmt.Sprintf("correlation: %v", err))
		}
		out = append(out, File{Name: e.Name(), Data: data})
	}
	return out
}

// ReadFiles reads files, and of a folder all *.yaml and *.yml in it (not those in
// folders below), in the order of their names. A file above [MaxFile], one that
// is not a regular file and a folder without a rule file are errors.
func ReadFiles(paths ...string) ([]File, error) {
	var out []File
	for _, path := range paths {
		names, err := expand(path)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			f, err := readFile(name)
			if err != nil {
				return nil, err
			}
			out = append(out, f)
		}
	}
	return out, nil
}

// ReadWithTests reads what [ReadFiles] reads, and beside each rule file its test
// file, beside each test file its rule file, if they are there.
func ReadWithTests(paths ...string) ([]File, error) {
	files, err := ReadFiles(paths...)
	if err != nil {
		return nil, err
	}
	have := map[string]bool{}
	for _, f := range files {
		have[filepath.Clean(f.Name)] = true
	}
	for _, f := range slices.Clone(files) {
		beside := f.Tested()
		if beside == "" {
			ext := filepath.Ext(f.Name)
			beside = strings.TrimSuffix(f.Name, ext) + ".test" + ext
		}
		if have[filepath.Clean(beside)] {
			continue
		}
		switch other, err := readFile(beside); {
		case err == nil:
			files = append(files, other)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return files, nil
}

// About is the comment at the head of a rule file: what its author says of it.
func (f File) About() string {
	var out []string
	for line := range strings.Lines(string(f.Data)) {
		text, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "#")
		if !ok {
			break
		}
		out = append(out, strings.TrimPrefix(text, " "))
	}
	return strings.Join(out, "\n")
}

func expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	var names []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	if !slices.ContainsFunc(names, func(n string) bool { return !File{Name: n}.IsTest() }) {
		return nil, fmt.Errorf("read rules: no *.yaml in %s", path)
	}
	return names, nil
}

func readFile(name string) (File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return File{}, fmt.Errorf("read rules: %w", err)
	}
	if !info.Mode().IsRegular() { // a pipe would be waited for
		return File{}, fmt.Errorf("read rules: %s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return File{}, fmt.Errorf("read rules: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return File{}, fmt.Errorf("read rules %s: %w", name, err)
	}
	if len(data) > MaxFile {
		return File{}, fmt.Errorf("read rules: %s is larger than %d bytes", name, MaxFile)
	}
	return File{Name: name, Data: data}, nil
}
