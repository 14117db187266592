package tetragon

import (
	"errors"
	"fmt"
	"slices"
)

// argument checks that the hook was seen to have it.
func (p *place) argument(a argument, r release) error {
	switch {
	case a.since() > r:
		return fmt.Errorf("type %s of argument %d needs %s", a.Type, a.Index, a.since())
	case a.Source != "":
		if a.Source != "current_task" || a.Type != "string" || a.Resolve != cgroupName && a.Resolve != cgroupParent {
			return fmt.Errorf("source %s, resolve %s: not tried", a.Source, a.Resolve)
		}
		return nil
	}
	for _, k := range known {
		name := k.call
		if p.lsm {
			name = k.lsm
		}
		if name == p.name && slices.Contains(k.args, a) {
			return nil
		}
	}
	return fmt.Errorf("argument %d of type %s, resolve %q: not tried at this hook", a.Index, a.Type, a.Resolve)
}

// known are the hooks that were seen to fire: those that are generated, and some
// that stand in policies that were tried.
var known = []hook{
	hookFileOpen, hookFilePermission, hookBprmCheck, hookTCPConnect, hookConnect, hookSendmsg, hookUnixConnect,
	hookUnlink, hookRename, hookTruncate, hookFileTruncate, hookInodeRename,
	hookSysConnect, hookSysUnix, hookSysOpenat, hookSysExecve, hookSysUnlinkat, hookSysTruncate,
	{call: "security_socket_connect", lsm: "socket_connect", args: []argument{{Index: 1, Type: "sockaddr_un"}}},
	{call: "commit_creds", args: []argument{{Index: 0, Type: "cred"}}},
	{call: "syscalls/sys_enter_unlink", args: []argument{{Index: 5, Type: "string"}}},
}

// operators says by which an argument of a type was seen to be compared. Others
// are refused by Tetragon, or load and never match.
var operators = map[string][]string{
	"file":         {opEqual, opPrefix, opNotPrefix, opPostfix},
	"path":         {opPrefix, opPostfix},
	"dentry":       {opPostfix},
	"linux_binprm": {opPostfix},
	"sock":         {opFamily, opNotDAddr},
	"sockaddr":     {opFamily, opNotSAddr},
	"sockaddr_un":  {opFamily, opEqual, opPrefix},
	"string":       {opEqual, opPrefix, opPostfix},
	"int":          {opEqual},
}

// limits of one filter, by operator.
var limits = map[string]struct{ values, characters int }{
	opEqual:     {maxEqualValues, maxPostfix},
	opPrefix:    {maxPrefixValues, maxPrefix},
	opNotPrefix: {maxPrefixValues, maxPrefix},
	opPostfix:   {maxPostfixValues, maxPostfix},
	opNotSAddr:  {maxAddresses, maxPostfix},
	opNotDAddr:  {maxAddresses, maxPostfix},
	opFamily:    {3, maxPostfix},
}

func (p *place) selector(s selector, pods bool) error {
	if len(s.MatchArgs) > maxFilters {
		return fmt.Errorf("%d filters, %d are taken", len(s.MatchArgs), maxFilters)
	}
	inArgs, err := compare(s.MatchArgs, p.args)
	if err != nil {
		return err
	}
	inData, err := compare(s.MatchData, p.data)
	if err != nil {
		return err
	}
	for _, n := range s.MatchNamespaces {
		if n.Namespace != "Pid" || n.Operator != "NotIn" || !slices.Equal(n.Values, []text{"host_ns"}) {
			return fmt.Errorf("namespace %s %s %v: only Pid NotIn host_ns is known", n.Namespace, n.Operator, n.Values)
		}
	}
	for _, b := range s.MatchBinaries {
		if b.Operator != "In" || len(b.Values) == 0 {
			return fmt.Errorf("binaries %s %v: not tried", b.Operator, b.Values)
		}
	}
	return checkActions(s.MatchActions, p.lsm, pods || inArgs || inData || len(s.MatchNamespaces) > 0)
}

// compare checks filters against the arguments that they compare, and says
// whether the acting task's cgroup is among these.
func compare(list []filter, args []argument) (task bool, err error) {
	for _, f := range list {
		i := slices.IndexFunc(args, func(a argument) bool { return a.Index == f.Index })
		if i < 0 {
			return false, fmt.Errorf("filter for the unknown argument %d", f.Index)
		}
		if !slices.Contains(operators[args[i].Type], f.Operator) {
			return false, fmt.Errorf("operator %s on an argument of type %s is refused, or loads and never matches, or was not tried", f.Operator, args[i].Type)
		}
		most := limits[f.Operator]
		if len(f.Values) == 0 || len(f.Values) > most.values {
			return false, fmt.Errorf("operator %s with %d values, 1 to %d are taken", f.Operator, len(f.Values), most.values)
		}
		for _, v := range f.Values {
			if v == "" || len(v) > most.characters {
				return false, fmt.Errorf("operator %s: value %q is empty or longer than %d characters", f.Operator, v, most.characters)
			}
		}
		task = task || args[i].Source == "current_task"
	}
	return task, nil
}

func checkActions(actions []action, lsm, scoped bool) error {
	var names []string
	for _, a := range actions {
		names = append(names, a.Action)
		switch {
		case a.Action == "Post":
			continue
		case a.Action == "Override" && !lsm:
			return errors.New("action Override at a kprobe: the kernels tried have no such help")
		case a.Action == "Override" && a.ArgError != -1:
			return fmt.Errorf("action Override with argError %d: only -1 was tried", a.ArgError)
		case a.Action != "Override" && a.Action != "Sigkill":
			return fmt.Errorf("action %s: not tried", a.Action)
		case !scoped:
			return fmt.Errorf("%s without a scope: it would hit the host itself", a.Action)
		}
	}
	if len(names) == 0 || slices.Contains(names, "Post") && len(names) > 1 {
		return fmt.Errorf("actions %v: not tried", names)
	}
	if lsm && slices.Contains(names, "Post") {
		return errors.New("action Post at an LSM hook: not tried")
	}
	return nil
}
