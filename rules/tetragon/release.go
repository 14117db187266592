package tetragon

import (
	"fmt"
	"regexp"
	"strconv"
)

// DefaultRelease is Tetragon's release for which policies are written.
const DefaultRelease = "v1.7.0"

// release is the second number of Tetragon's version 1.N.
type release int

// The releases that brought what policies use.
const (
	releaseLSM      release = 3 // lsmhooks; older ones are not known
	releaseSockaddr release = 4 // types sockaddr and dentry, resolve
	releaseIgnore   release = 5 // ignore.callNotFound
	releaseTask     release = 6 // source current_task, data, matchData, btfType
	releaseUnix     release = 7 // type sockaddr_un
)

// laterMajor stands for every version from 2 on: it has what 1.N had.
const laterMajor release = 1 << 16

var releasePattern = regexp.MustCompile(`^v?([0-9]{1,3})\.([0-9]{1,3})(\.[0-9]{1,5})?(-[0-9A-Za-z.-]+)?$`)

// parseRelease reads v1.7.0, 1.7 and the like. Empty is [DefaultRelease].
func parseRelease(s string) (release, error) {
	if s == "" {
		s = DefaultRelease
	}
	m := releasePattern.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("release %q of Tetragon is none: it is written v1.7.0", s)
	}
	major, errMajor := strconv.Atoi(m[1])
	minor, errMinor := strconv.Atoi(m[2])
	switch {
	case errMajor != nil || errMinor != nil || major == 0 || major == 1 && minor < int(releaseLSM):
		return 0, fmt.Errorf("release %s of Tetragon is older than v1.3.0, what it loads is not known", s)
	case major > 1:
		return laterMajor, nil
	}
	return release(minor), nil
}

func (r release) String() string { return "v1." + strconv.Itoa(int(r)) }

// since gives the release that brought an argument of the kind.
func (a argument) since() release {
	switch {
	case a.Type == "sockaddr_un":
		return releaseUnix
	case a.Source != "" || a.BTFType != "":
		return releaseTask
	case a.Type == "sockaddr" || a.Type == "dentry" || a.Resolve != "":
		return releaseSockaddr
	}
	return releaseLSM
}
