package export

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// place is how far an export was read, over all its files. It is journalled with
// the event before it, so that both are on the disk or neither.
type place struct {
	// id of the file that was being read, see [identify]; "" none was there, or
	// nothing in it.
	id string
	// offset in it, in bytes, of what comes next: the beginning of a line. In a
	// compressed file it counts what was compressed.
	offset int64
	// end is the latest time at which a file may have ended that is known to have
	// nothing more to give, that of id excepted.
	end time.Time
}

// String writes it as [parsePlace] reads it, without spaces.
func (p place) String() string {
	return strconv.FormatInt(p.offset, 10) + ":" + strconv.FormatInt(p.end.UnixNano(), 10) + ":" + p.id
}

func parsePlace(s string) (p place, err error) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return place{}, fmt.Errorf("place %q has not three parts", s)
	}
	offset, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil || offset < 0 {
		return place{}, fmt.Errorf("place %q: offset", s)
	}
	end, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return place{}, fmt.Errorf("place %q: time", s)
	}
	if id, err := hex.DecodeString(parts[2]); err != nil || len(id) != 0 && len(id) != idBytes {
		return place{}, fmt.Errorf("place %q: file", s)
	}
	return place{id: parts[2], offset: offset, end: time.Unix(0, end)}, nil
}
