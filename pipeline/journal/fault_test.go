package journal

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// faultFS is the real file system with faults.
type faultFS struct {
	types.VFS
	sync  error // of every file
	open  error // to go on writing
	short bool  // writes stop in the middle
}

func (f *faultFS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	w, err := f.VFS.Create(dir, name, size)
	if err != nil {
		return nil, err
	}
	return &faultFile{w, f}, nil
}

func (f *faultFS) OpenWriter(dir, name string) (types.WritableFile, error) {
	if f.open != nil {
		return nil, f.open
	}
	w, err := f.VFS.OpenWriter(dir, name)
	if err != nil {
		return nil, err
	}
	return &faultFile{w, f}, nil
}

type faultFile struct {
	types.WritableFile
	fs *faultFS
}

func (f *faultFile) Sync() error {
	if f.fs.sync != nil {
		return f.fs.sync
	}
	return f.WritableFile.Sync()
}

func (f *faultFile) WriteAt(b []byte, off int64) (int, error) {
	if !f.fs.short {
		return f.WritableFile.WriteAt(b, off)
	}
	n, err := f.WritableFile.WriteAt(b[:len(b)/2], off)
	if err == nil {
		err = syscall.ENOSPC
	}
	return n, err
}

// A write that fails leaves nothing behind, whatever the disk did with it, and
// its numbers are given to the next.
func TestFailedWrite(t *testing.T) {
	tests := []struct {
		name    string
		written uint64 // before
		fault   faultFS
		want    error
		broken  bool
	}{
		{name: "fsync", written: 12, fault: faultFS{sync: syscall.EIO}, want: syscall.EIO},
		{name: "fsync of a new segment", fault: faultFS{sync: syscall.EIO}, want: syscall.EIO},
		{name: "disk full", written: 12, fault: faultFS{short: true}, want: syscall.ENOSPC},
		{name: "disk full, new segment", fault: faultFS{short: true}, want: syscall.ENOSPC},
		{name: "no way to repair it", written: 12, fault: faultFS{sync: syscall.EIO, open: syscall.EMFILE}, want: syscall.EIO, broken: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "journal")
			vfs := &faultFS{VFS: fs.New()}
			j, err := open(dir, damageOptions, vfs)
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			fill(t, j, tt.written, 4)
			vfs.sync, vfs.open, vfs.short = tt.fault.sync, tt.fault.open, tt.fault.short
			lost := []*Record{record(100), record(101)}
			if err := j.Write(lost); !errors.Is(err, tt.want) || errors.Is(err, ErrBroken) {
				t.Errorf("write: %v, want %v", err, tt.want)
			}
			if lost[0].Seq != 0 || lost[1].Seq != 0 || j.Last() != tt.written {
				t.Errorf("numbers %d and %d, Last %d after a failed write", lost[0].Seq, lost[1].Seq, j.Last())
			}
			if err := j.Write(lost); errors.Is(err, ErrBroken) != tt.broken || err == nil {
				t.Errorf("second write: %v", err)
			}
			if spans := scan(t, j, 1); tt.written > 0 && !cmp.Equal([]span{{From: 1, To: tt.written}}, spans) {
				t.Errorf("readable meanwhile: %v", spans)
			}
			vfs.sync, vfs.open, vfs.short = nil, nil, false
			fill(t, j, tt.written+5, 1)
			for range 2 {
				if diff := cmp.Diff([]span{{From: 1, To: tt.written + 5}}, scan(t, j, 1)); diff != "" {
					t.Errorf("scan (-want +got):\n%s", diff)
				}
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				j = mustOpen(t, dir, damageOptions)
				if diff := cmp.Diff(Recovery{}, j.Recovered()); diff != "" {
					t.Errorf("recovery (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A real file system without space.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount tmpfs: %v", err)
		}
		t.Skipf("needs the right to mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	for name, batch := range map[string]int{"no room for a segment": 1, "no room for a batch": 2000} {
		t.Run(name, func(t *testing.T) {
			filler := filepath.Join(dir, "filler")
			if err := os.WriteFile(filler, make([]byte, 128<<10), 0o600); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(dir, "journal")
			j := mustOpen(t, dir, damageOptions)
			var err error
			for err == nil {
				var recs []*Record
				for i := range min(uint64(batch), j.Last()*3+1) {
					recs = append(recs, record(j.Last()+1+i))
				}
				err = j.Write(recs)
			}
			full := j.Last()
			if !errors.Is(err, syscall.ENOSPC) || full < 100 {
				t.Fatalf("after %d records: %v", full, err)
			}
			if diff := cmp.Diff([]span{{From: 1, To: full}}, scan(t, j, 1)); diff != "" {
				t.Errorf("scan of the full disk (-want +got):\n%s", diff)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			fill(t, j, full+50, 5)
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j = mustOpen(t, dir, damageOptions)
			if diff := cmp.Diff([]span{{From: 1, To: full + 50}}, scan(t, j, 1)); diff != "" {
				t.Errorf("scan after reopening (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(Recovery{}, j.Recovered()); diff != "" {
				t.Errorf("recovery (-want +got):\n%s", diff)
			}
			if err := errors.Join(j.Close(), os.RemoveAll(dir)); err != nil {
				t.Fatal(err)
			}
		})
	}
}
