package probe

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
)

// maxEnvFile bounds .env, in bytes.
const maxEnvFile = 4 << 20

// readFile reads a regular file; the last part of its path is no link.
func readFile(at string) ([]byte, error) {
	r, err := os.OpenRoot(path.Dir(at))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f, err := open(r, path.Base(at))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, maxEnvFile)
}

// envFile gives the names in a .env; of none, none.
func envFile(at string) ([]string, error) {
	b, err := readFile(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(variables(b))), nil
}
