package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVerifyNamesTheLine(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(lines []string) []string
		want   string
	}{
		{"swapped", func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }, ":2: is number 3, wants 2"},
		{"twice", func(l []string) []string { return append(l[:2], l[1:]...) }, ":3: is number 2, wants 3"},
		{"an empty line", func(l []string) []string { l[2] = "\n" + l[2]; return l }, ":3: is no line of an audit log"},
		{"a space more", func(l []string) []string { l[3] = " " + l[3]; return l }, ":4: was changed"},
		{"a hash of capitals", func(l []string) []string {
			l[1] = l[1][:len(l[1])-67] + strings.ToUpper(l[1][len(l[1])-67:len(l[1])-3]) + l[1][len(l[1])-3:]
			return l
		}, ":2: was changed"},
		{"carriage returns", func(l []string) []string { l[0] = strings.Replace(l[0], "\n", "\r\n", 1); return l }, ":1: is no line"},
		{"a forged line with a hash of its own", func(l []string) []string {
			forged, _, err := appendLine(nil, Line{Seq: 3, Prev: noHash, Record: rec(99)})
			if err != nil {
				panic(err)
			}
			l[2] = string(forged)
			return l
		}, ":3: does not follow the line before"},
		{"the first is another's", func(l []string) []string {
			forged, _, err := appendLine(nil, Line{Seq: 1, Prev: strings.Repeat("a", 64), Record: rec(99)})
			if err != nil {
				panic(err)
			}
			l[0] = string(forged)
			return l
		}, ":1: is number 1 and follows another line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filled(t, 5, 0)
			b, err := os.ReadFile(path(dir))
			must(t, err)
			lines := tt.damage(strings.SplitAfter(strings.TrimSuffix(string(b), ""), "\n"))
			must(t, os.WriteFile(path(dir), []byte(strings.Join(lines, "")), 0o600))
			_, err = verify(t, dir)
			if _, ok := errors.AsType[*BreakError](err); !ok || !strings.Contains(err.Error(), fileName+tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestVerifyOverFiles(t *testing.T) {
	dir := filled(t, 9, 1)
	files, err := Files(dir)
	must(t, err)
	if _, err := Verify(files, nil); err != nil || len(files) < 3 {
		t.Fatal(err, files)
	}
	if r, err := Verify(files[2:], nil); err != nil || r.First == 1 {
		t.Errorf("without the oldest: %v %+v", err, r)
	}
	if _, err := Verify(append(files[:1:1], files[2:]...), nil); err == nil {
		t.Error("a file in the middle is not missed")
	}
	b, err := os.ReadFile(files[0])
	must(t, err)
	must(t, os.WriteFile(files[0], b[:len(b)-1], 0o600))
	if _, err := Verify(files, nil); err == nil || !strings.Contains(err.Error(), "is not finished") {
		t.Errorf("an older file cut short: %v", err)
	}
	if _, err := Files(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// Whatever stands in a file, verifying ends, and what it takes for whole is what
// g0 wrote: no other bytes have the same report.
func FuzzVerify(f *testing.F) {
	whole, err := os.ReadFile(path(filled(f, 3, 0)))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{nil, whole, whole[:len(whole)-1], whole[100:], bytes.ReplaceAll(whole, []byte("e2"), []byte("e9")), []byte("{}\n")} {
		f.Add(seed)
	}
	original, err := Verify([]string{write(f, whole)}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Verify([]string{write(t, b)}, nil)
		if err == nil && r.Head == original.Head && r.Torn == 0 && r.First == 1 && !bytes.Equal(b, whole) {
			t.Errorf("other bytes pass for the log: %q", b)
		}
		_, _ = Read([]string{write(t, b)}, func([]byte, Line) error { return nil }) // must only end
	})
}

// No byte can be changed.
func TestEveryByteCounts(t *testing.T) {
	whole, err := os.ReadFile(path(filled(t, 2, 0)))
	must(t, err)
	file := write(t, nil)
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		must(t, os.WriteFile(file, b, 0o600))
		if r, err := Verify([]string{file}, nil); err == nil && r.Torn == 0 {
			t.Fatalf("bit %d of byte %d is not missed", i%8, i)
		}
	}
}

func write(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), fileName)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
