package event

import "strings"

// hookPrefixes stand before the name of a call in the names of kernel
// functions, LSM hooks and tracepoints.
var hookPrefixes = []string{"security_", "__x64_", "__arm64_", "sys_enter_", "sys_exit_", "sys_", "do_", "vfs_"}

// bareCall gives the name of a call without what the place it is seen at puts
// before it: "unlinkat" for "__x64_sys_unlinkat".
func bareCall(hook string) string {
	for _, prefix := range hookPrefixes {
		hook = strings.TrimPrefix(hook, prefix)
	}
	return hook
}

// callOp names what a system call, an LSM hook or a kernel function does to a
// file, as [File].Op has it; "" where it does nothing of that kind. Reads and
// writes of file_permission are told apart by its argument, not here.
func callOp(hook string) string {
	switch bareCall(hook) {
	case "open", "openat", "openat2", "open_by_handle_at", "creat", "file_open":
		return "open"
	case "read", "pread64", "readv", "preadv":
		return "read"
	case "write", "pwrite64", "writev", "pwritev":
		return "write"
	case "execve", "execveat", "bprm_check", "bprm_check_security", "bprm_creds_from_file":
		return "exec"
	case "connect", "socket_connect", "unix_stream_connect":
		return "connect"
	case "unlink", "unlinkat", "rmdir", "path_unlink", "path_rmdir", "inode_unlink", "inode_rmdir":
		return "unlink"
	case "rename", "renameat", "renameat2", "path_rename", "inode_rename":
		return "rename"
	case "truncate", "ftruncate", "path_truncate", "file_truncate":
		return "truncate"
	case "link", "linkat", "symlink", "symlinkat", "path_link", "inode_link":
		return "link"
	case "chmod", "fchmod", "fchmodat", "chown", "lchown", "fchown", "fchownat",
		"path_chmod", "path_chown", "inode_setattr":
		return "setattr"
	default:
		return ""
	}
}
