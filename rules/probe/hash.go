package probe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"syscall"
)

// open opens a file of a folder for reading if it is a regular one: a link is not
// followed and a pipe not waited for.
func open(r *os.Root, name string) (*os.File, error) {
	// Looked at before: to open a device may do something.
	if info, err := r.Lstat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	f, err := r.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	return f, nil
}

// maxPart is what is read at either end of a file for its hash, in bytes.
const maxPart = 4 << 20

// hash gives the SHA-256 of a file; of one with more than twice [maxPart] that of
// its two ends and its size. No prompt has room for what is between.
func hash(ctx context.Context, r *os.Root, name string) (string, error) {
	f, err := open(r, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if info.Size() > 2*maxPart {
		fmt.Fprintf(h, "%d bytes ", info.Size())
		if _, err := io.Copy(h, io.LimitReader(f, maxPart)); err != nil {
			return "", err
		}
		if _, err := f.Seek(-maxPart, io.SeekEnd); err != nil {
			return "", err
		}
	}
	if _, err = io.Copy(h, io.LimitReader(f, 2*maxPart)); err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// linkHash gives the SHA-256 of where a link leads.
func linkHash(r *os.Root, name string) (string, error) {
	to, err := r.Readlink(name)
	sum := sha256.Sum256([]byte("link to " + to))
	return hex.EncodeToString(sum[:]), err
}

// readAll gives a file of at most limit bytes.
func readAll(f *os.File, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, fmt.Errorf("it has more than %d bytes", limit)
	}
	return b, err
}
