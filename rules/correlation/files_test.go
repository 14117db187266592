package correlation

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBuiltinRulesHaveTests(t *testing.T) {
	have := map[string]bool{}
	for _, f := range Builtin() {
		have[f.Name] = true
	}
	if len(have) < 22 {
		t.Errorf("only %d files", len(have))
	}
	for name := range have {
		if f := (File{Name: name}); f.IsTest() && !have[f.Tested()] {
			t.Errorf("%s tests nothing", name)
		}
		if !(File{Name: name}).IsTest() && !have[strings.TrimSuffix(name, ".yaml")+".test.yaml"] {
			t.Errorf("%s has no test file", name)
		}
	}
}

func TestBuiltinCasesAreMany(t *testing.T) {
	all := words
	all.Type = func(string) bool { return true }
	cases, err := ParseCases(Builtin(), all)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if len(c.Matches) < 5 || len(c.NearMisses) < 6 {
			t.Errorf("%s: %d matches, %d near misses; 5 and 6 are wanted", c.File, len(c.Matches), len(c.NearMisses))
		}
	}
}

func TestReadFiles(t *testing.T) {
	dir, empty := t.TempDir(), t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, name := range []string{"b.yaml", "a.yml", "a.test.yaml", "notes.txt"} {
		write(name, name)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := ReadFiles(dir, filepath.Join(dir, "notes.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, string(f.Data))
	}
	if diff := cmp.Diff([]string{"a.test.yaml", "a.yml", "b.yaml", "notes.txt"}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}

	large := write("large.txt", strings.Repeat("x", MaxFile+1))
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "absent"): "read rules: stat " + filepath.Join(dir, "absent") + ": no such file or directory",
		empty:                        "read rules: no *.yaml in " + empty,
		large:                        fmt.Sprintf("read rules: %s is larger than %d bytes", large, MaxFile),
		pipe:                         fmt.Sprintf("read rules: %s is not a regular file", pipe),
	} {
		if _, err := ReadFiles(path); fmt.Sprint(err) != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestReadWithTests(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.yaml", "a.test.yaml", "b.yaml", "c.yml", "c.test.yml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("# "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name  string
		paths []string
		want  []string
	}{
		{"a rule file", []string{"a.yaml"}, []string{"a.yaml", "a.test.yaml"}},
		{"a test file", []string{"c.test.yml"}, []string{"c.test.yml", "c.yml"}},
		{"both", []string{"a.yaml", "a.test.yaml"}, []string{"a.yaml", "a.test.yaml"}},
		{"no test", []string{"b.yaml"}, []string{"b.yaml"}},
		{"the folder", []string{"."}, []string{"a.test.yaml", "a.yaml", "b.yaml", "c.test.yml", "c.yml"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var paths []string
			for _, p := range tt.paths {
				paths = append(paths, filepath.Join(dir, p))
			}
			files, err := ReadWithTests(paths...)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range files {
				got = append(got, f.About())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Minute: "5m", 24 * time.Hour: "24h", 90 * time.Second: "1m30s", 0: "0s",
		10 * time.Second: "10s", 63 * time.Minute: "1h3m", 200 * time.Millisecond: "200ms",
	} {
		if got := Short(d); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestNarrate(t *testing.T) {
	got := Narrate("{agent} {first} {last} {count} {span} {host} {other}", Story{
		Agent: "{last}", First: "{agent}", Last: "b", Count: 3, Span: 65*time.Second + 400*time.Millisecond,
	})
	if want := "{last} {agent} b 3 1m5s unknown {other}"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
