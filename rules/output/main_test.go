package output

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(writeForEver(dir))
	}
	goleak.VerifyTestMain(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// generation is one of several states of the same files, all as long as it says.
func generation(n byte, size int) []File {
	body := func(name string) []byte {
		b := append([]byte("# "+mark+"1 of "+name+"\n"), make([]byte, size)...)
		for i := len(b) - size; i < len(b); i++ {
			b[i] = n
		}
		return b
	}
	return []File{
		{"policies/a.yaml", 0o644, body("a")}, {"policies/b.yaml", 0o644, body("b")},
		{"egress.sh", 0o755, body("egress")}, {"rules.yaml", 0o640, body("rules")},
	}
}

// tree has every file below dir by its name: mode and content.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
			out[name+"/"] = ""
		case e.Type() == fs.ModeSymlink:
			to, err := os.Readlink(p)
			out[name] = "-> " + to
			return err
		case !e.Type().IsRegular():
			out[name] = info.Mode().String()
		default:
			b, err := os.ReadFile(p)
			out[name] = info.Mode().String() + " " + string(b)
			return err
		}
		return nil
	}))
	return out
}

// treeOf is what tree shows of a folder that holds these files and nothing else
// but the manifest.
func treeOf(t testing.TB, files []File) map[string]string {
	t.Helper()
	m := manifest{}
	out := map[string]string{"policies/": ""}
	for _, f := range files {
		m[f.Name] = []string{sumOf(f.Content)}
		out[f.Name] = f.Mode.String() + " " + string(f.Content)
	}
	b, err := m.encode()
	must(t, err)
	out[manifestName] = manifestMode.String() + " " + string(b)
	return out
}
