package baseline

import (
	"strings"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// maxItem bounds an item's text in bytes.
const maxItem = 256

// temporary are folders in which programs make up names.
var temporary = []string{"/tmp", "/var/tmp", "/dev/shm"}

// inTemporary gives the temporary folder that path lies in; "": none.
func inTemporary(path string) string {
	for _, dir := range temporary {
		if len(path) > len(dir) && path[len(dir)] == '/' && strings.HasPrefix(path, dir) {
			return dir
		}
	}
	return ""
}

// appendProgram appends the path of a program without what differs from run to
// run and from version to version: "/usr/bin/python3.11" becomes
// "/usr/bin/python#", "/tmp/tmp.Xk3Bq9/run" becomes "/tmp/tmp.*/run".
func appendProgram(dst []byte, path string) []byte {
	end := len(dst) + maxItem
	temp := inTemporary(path) != ""
	for i := 0; i < len(path) && len(dst) < end; {
		slash := strings.IndexByte(path[i:], '/')
		if slash < 0 {
			return appendName(dst, path[i:], temp, end)
		}
		dst = appendName(dst, path[i:i+slash], temp, end)
		if len(dst) < end {
			dst = append(dst, '/')
		}
		i += slash + 1
	}
	return dst
}

// workspace is the folder that an agent works in: what it does below it is one
// area.
const workspace = "workspace"

// appendArea appends the area of a file: the folder it lies in, to a depth. The
// agent's own name becomes "{agent}"; those of others stay, since touching what
// is another's is not the same thing.
func appendArea(dst []byte, path, agent string, depth int) []byte {
	if dir := inTemporary(path); dir != "" {
		return append(append(dst, dir...), "/**"...)
	}
	end := len(dst) + maxItem
	last := strings.LastIndexByte(path, '/')
	if last < 0 {
		return append(dst, '.')
	}
	if last == 0 {
		return append(dst, '/')
	}
	rest := strings.TrimPrefix(path[:last], "/")
	for n := 0; rest != "" && len(dst) < end; n++ {
		if n == depth {
			return append(dst, "/**"...)
		}
		name, more, _ := strings.Cut(rest, "/")
		dst = append(dst, '/')
		of, isWorkspace := strings.CutPrefix(name, workspace)
		switch {
		case agent != "" && name == agent:
			dst = append(dst, "{agent}"...)
		case isWorkspace && of == "":
			return append(append(dst, name...), "/**"...)
		case isWorkspace && agent != "" && of == "-"+agent:
			return append(dst, workspace+"-{agent}/**"...)
		default:
			dst = appendName(dst, name, false, end)
		}
		rest = more
	}
	return dst
}

// minHex is from how many digits on a hexadecimal number is one: a hash, an id.
const minHex = 8

// minRandom is the length of the shortest name in a temporary folder that is
// taken for made up: what mktemp(1) appends by convention has 6 letters and more.
const minRandom = 6

// appendName appends a name, or as much of it as fits before end, with "#" for
// numbers (and versions, "3.11") and "*" for ids.
func appendName(dst []byte, name string, temp bool, end int) []byte {
	for i := 0; i < len(name) && len(dst) < end; {
		if isUUID(name[i:]) {
			dst = append(dst, '*')
			i += uuidLen
			continue
		}
		w := wordAt(name[i:])
		switch {
		case w.n == 0:
			dst = append(dst, name[i])
			i++
		case w.isID(temp):
			dst = append(dst, '*')
			i += w.n
		default:
			dst, i = appendWord(dst, name, i, i+w.n, end)
		}
	}
	return dst
}

// appendWord appends name[i:to], with "#" for each number; one that begins in it
// may reach further.
func appendWord(dst []byte, name string, i, to, end int) ([]byte, int) {
	for i < to && len(dst) < end {
		if !isDigit(name[i]) {
			dst = append(dst, name[i])
			i++
			continue
		}
		dst = append(dst, '#')
		for i < len(name) && (isDigit(name[i]) || name[i] == '.' && i+1 < len(name) && isDigit(name[i+1])) {
			i++
		}
	}
	return dst, max(i, to)
}

// word is what the letters and digits at the beginning of a text are like.
type word struct {
	n                          int // length
	digits, lower, upper, nonX int // upper: not at the first place; nonX: letters beyond f
}

func wordAt(s string) (w word) {
	for ; w.n < len(s); w.n++ {
		switch c := s[w.n]; {
		case isDigit(c):
			w.digits++
		case c >= 'a' && c <= 'z':
			w.lower++
			if c > 'f' {
				w.nonX++
			}
		case c >= 'A' && c <= 'Z':
			if w.n > 0 {
				w.upper++
			}
			if c > 'F' {
				w.nonX++
			}
		default:
			return w
		}
	}
	return w
}

// isID says whether a word is none that a person chose.
func (w word) isID(temp bool) bool {
	if w.n >= minHex && w.nonX == 0 && w.digits > 0 {
		return true
	}
	return temp && w.n >= minRandom && (w.digits > 0 && w.digits < w.n || w.upper > 0 && w.lower > 0)
}

const uuidLen = 36

// isUUID says whether s begins with a UUID, RFC 9562 section 4.
func isUUID(s string) bool {
	if len(s) < uuidLen || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	for i := range uuidLen {
		if c := s[i]; !isHex(c) && (c != '-' || i != 8 && i != 13 && i != 18 && i != 23) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

// tidy gives what was appended to buf from there on a form that survives JSON and
// a terminal: almost always it has it already.
func tidy(buf []byte, from int) []byte {
	if len(buf)-from > maxItem {
		buf = buf[:from+maxItem]
	}
	for _, c := range buf[from:] {
		if c < ' ' || c > '~' {
			return appendClean(buf[:from], string(buf[from:]))
		}
	}
	return buf
}

// appendClean appends as many whole runes of the cleaned text as fit.
func appendClean(dst []byte, s string) []byte {
	end := len(dst) + maxItem
	for _, r := range event.Clean(s, maxItem) {
		next := append(dst, string(r)...)
		if len(next) > end {
			break
		}
		dst = next
	}
	return dst
}
