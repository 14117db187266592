package probe

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
)

// access says who gets to a place, by the modes of the folders above it. ACLs
// and capabilities are not looked at, and of an agent's groups only the one that
// has the number of its uid, as images make it.
type access struct {
	world bool
	uids  []int // of those asked about, sorted
}

type owned struct{ uid, gid int }

func owner(info fs.FileInfo) owned {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return owned{int(s.Uid), int(s.Gid)}
	}
	return owned{-1, -1}
}

// passAbove gives who gets to a folder, before the folder's own mode.
func passAbove(at string, uids []int) (access, error) {
	who := access{world: true, uids: uids}
	at, err := filepath.EvalSymlinks(at)
	if err != nil {
		return access{}, err
	}
	for _, dir := range above(at) {
		info, err := os.Stat(dir)
		if err != nil {
			return access{}, err
		}
		who = who.through(info)
	}
	return who, nil
}

// above gives the folders over a path, the root first.
func above(at string) []string {
	var out []string
	for at != "/" && at != "." {
		at = path.Dir(at)
		out = append(out, at)
	}
	slices.Reverse(out)
	return out
}

// through gives who gets past a folder: who may search it.
func (a access) through(info fs.FileInfo) access {
	return a.by(info, 0o1)
}

// read gives who may read a file.
func (a access) read(info fs.FileInfo) (world bool, uids []int) {
	who := a.by(info, 0o4)
	return who.world, who.uids
}

// by keeps who has a right, 4 to read and 1 to search.
func (a access) by(info fs.FileInfo, right fs.FileMode) access {
	mode, own := info.Mode().Perm(), owner(info)
	out := access{world: a.world && mode&right != 0}
	for _, uid := range a.uids {
		need := right
		switch uid {
		case own.uid:
			need = right << 6
		case own.gid:
			need = right << 3
		}
		if mode&need != 0 || uid == 0 {
			out.uids = append(out.uids, uid)
		}
	}
	return out
}
