package enforce

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkProgram refuses a program that somebody besides root and g0's user could
// have put there: whoever can exchange it would act with g0's rights.
func checkProgram(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%q is not an absolute path", path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	if err := ownedSafely(real, info); err != nil {
		return err
	}
	link, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, dir := range []string{link, filepath.Dir(real)} {
		if err := checkFolders(dir); err != nil {
			return err
		}
	}
	if err := unix.Access(real, unix.X_OK); err != nil {
		return fmt.Errorf("%s cannot be executed: %w", path, err)
	}
	return nil
}

// checkFolders looks at dir and all above it. In one that others may write, only
// the sticky bit keeps them from putting another in the place of what is there.
func checkFolders(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSticky == 0 {
			err = ownedSafely(dir, info)
		}
		if err != nil || dir == filepath.Dir(dir) {
			return err
		}
	}
}

func ownedSafely(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write %s (mode %#o): chmod go-w it", path, info.Mode().Perm())
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs neither to root nor to the user that runs g0", path)
	}
	return nil
}
