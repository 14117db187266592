package tetragon

// Operators.
const (
	opEqual     = "Equal"
	opPrefix    = "Prefix"
	opNotPrefix = "NotPrefix"
	opPostfix   = "Postfix"
	opFamily    = "Family"
	opNotSAddr  = "NotSAddr"
	opNotDAddr  = "NotDAddr"
)

// hook is a function of the kernel that policies look at.
type hook struct {
	// call is the kprobe's name, lsm the LSM hook's. No lsm: none was seen to deny.
	call, lsm string
	syscall   bool
	args      []argument
	// missing says that kernels exist without it, in which a policy that names it
	// is refused whole.
	missing bool
}

// The hooks that fire, with the arguments by which they do. Where a hook has more
// arguments than are filtered, that is for the event: the parser puts them
// together to a path.
var (
	hookFileOpen = hook{call: "security_file_open", lsm: "file_open", args: []argument{{Index: 0, Type: "file"}}}
	// No LSM: it was not tried. Its mask is 2 to write, 4 to read.
	hookFilePermission = hook{call: "security_file_permission", args: []argument{{Index: 0, Type: "file"}, {Index: 1, Type: "int"}}}
	hookBprmCheck      = hook{call: "security_bprm_check", lsm: "bprm_check_security", args: []argument{{Index: 0, Type: "linux_binprm"}}}
	hookTCPConnect     = hook{call: "tcp_connect", args: []argument{{Index: 0, Type: "sock"}}}
	hookConnect        = hook{call: "security_socket_connect", lsm: "socket_connect", args: []argument{{Index: 1, Type: "sockaddr"}}}
	hookSendmsg        = hook{call: "security_socket_sendmsg", lsm: "socket_sendmsg", args: []argument{{Index: 1, Type: "sockaddr", Resolve: "msg_name"}}}
	hookUnixConnect    = hook{call: "security_unix_stream_connect", lsm: "unix_stream_connect",
		args: []argument{{Index: 1, Type: "path", Resolve: "path", BTFType: "unix_sock"}}}
	// Argument 0 is the directory as the process sees it, 1 the entry as its
	// filesystem sees it.
	hookUnlink = hook{call: "security_path_unlink", lsm: "path_unlink", args: []argument{{Index: 0, Type: "path"}, {Index: 1, Type: "dentry"}}}
	hookRename = hook{call: "security_path_rename", lsm: "path_rename",
		args: []argument{{Index: 0, Type: "path"}, {Index: 1, Type: "dentry"}, {Index: 2, Type: "path"}, {Index: 3, Type: "dentry"}}}
	hookTruncate     = hook{call: "security_path_truncate", lsm: "path_truncate", args: []argument{{Index: 0, Type: "path"}}}
	hookFileTruncate = hook{call: "security_file_truncate", lsm: "file_truncate", missing: true, args: []argument{{Index: 0, Type: "file"}}}
	// Argument 3 is what a file is renamed to.
	hookInodeRename = hook{call: "security_inode_rename", args: []argument{{Index: 1, Type: "dentry"}, {Index: 3, Type: "dentry"}}}

	// The specification's hooks see what a program typed, and nothing of io_uring.
	hookSysConnect  = hook{call: "sys_connect", syscall: true, args: []argument{{Index: 1, Type: "sockaddr"}}}
	hookSysUnix     = hook{call: "sys_connect", syscall: true, args: []argument{{Index: 1, Type: "sockaddr_un"}}}
	hookSysOpenat   = hook{call: "sys_openat", syscall: true, args: []argument{{Index: 1, Type: "string"}}}
	hookSysExecve   = hook{call: "sys_execve", syscall: true, args: []argument{{Index: 0, Type: "string"}}}
	hookSysUnlinkat = hook{call: "sys_unlinkat", syscall: true, args: []argument{{Index: 1, Type: "string"}}}
	hookSysTruncate = hook{call: "sys_truncate", syscall: true, args: []argument{{Index: 0, Type: "string"}}}
)

// watch is a hook with what is looked for there: the filters of each of anyOf
// are one selector's.
type watch struct {
	hook    hook
	message string
	anyOf   [][]filter
}

func is(index int, operator string, values ...string) filter {
	return filter{Index: index, Operator: operator, Values: texts(values)}
}
