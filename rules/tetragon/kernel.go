package tetragon

import (
	"fmt"
	"regexp"
	"strconv"
)

// kernel is a version of Linux, two numbers in one; 0: unknown.
type kernel int

// What policies use and kernels differ in.
var (
	// kernelFileTruncate brought the hook file_truncate.
	kernelFileTruncate = version(6, 2)
	// kernelNoParent renamed kernfs_node.parent to __parent, by which a cgroup's
	// parent is found (Linux 6.15, "kernfs: Use RCU to access kernfs_node::parent").
	kernelNoParent = version(6, 15)
)

func version(major, minor int) kernel { return kernel(major<<16 | minor) }

func (k kernel) String() string { return fmt.Sprintf("%d.%d", k>>16, k&0xffff) }

var kernelPattern = regexp.MustCompile(`^([0-9]{1,3})\.([0-9]{1,4})([.+-].*)?$`)

// parseKernel reads what uname -r says. Empty is unknown.
func parseKernel(s string) (kernel, error) {
	if s == "" {
		return 0, nil
	}
	m := kernelPattern.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("kernel %q is none: it is written 6.12, or as uname -r has it", s)
	}
	major, errMajor := strconv.Atoi(m[1])
	minor, errMinor := strconv.Atoi(m[2])
	if errMajor != nil || errMinor != nil {
		return 0, fmt.Errorf("kernel %q is none", s)
	}
	return version(major, minor), nil
}
