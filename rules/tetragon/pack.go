package tetragon

import "slices"

// Measured limits: one more was refused, or no more was tried. Values count one
// filter; filters of a kind share a table in a whole kprobe policy, in an LSM
// policy at least those of one hook.
const (
	maxSelectors      = 5 // of a hook
	maxFilters        = 5 // of matchArgs in a selector
	maxStringFilters  = 8 // of Prefix, of Postfix and of Equal
	maxAddressFilters = 10
	maxEqualValues    = 600
	maxPrefixValues   = 300
	maxPostfixValues  = 300
	maxAddresses      = 800
	maxPrefix         = 256 // characters
	maxPostfix        = 127 // characters, and of Equal no more was tried
	maxTags           = 16
	maxMessage        = 256
)

// watchers are watches with the processes that they are for.
type watchers struct {
	watches []watch
	scope   scope
}

// form is how a policy looks at its hooks and what it does.
type form struct {
	lsm     bool
	actions []action
}

var (
	report = form{actions: []action{{Action: "Post"}}}
	// The signal comes after the act.
	signal   = form{actions: []action{{Action: "Sigkill"}}}
	deny     = form{lsm: true, actions: []action{{Action: "Override", ArgError: -1}}}
	denyKill = form{lsm: true, actions: []action{{Action: "Override", ArgError: -1}, {Action: "Sigkill"}}}
)

// filters counts filters by the table that holds them.
type filters struct{ equal, prefix, postfix, addresses int }

func (f *filters) add(list []filter) {
	for _, l := range list {
		switch l.Operator {
		case opEqual:
			f.equal++
		case opPrefix, opNotPrefix:
			f.prefix++
		case opPostfix:
			f.postfix++
		case opNotSAddr, opNotDAddr:
			f.addresses++
		}
	}
}

func (f *filters) fits() bool {
	return f.equal <= maxStringFilters && f.prefix <= maxStringFilters && f.postfix <= maxStringFilters
}

// entry is a hook of one file.
type entry struct {
	watch     watch
	resolve   string // of the task's cgroup; empty: it is not looked at
	selectors []selector
	filters   filters
}

// file is a policy as far as it is filled.
type file struct {
	form     form
	entries  []*entry
	filters  filters
	resolves []string // of its entries
}

// pack puts every selector into files so that each file holds what Tetragon
// loads. Selectors are ORed, in one file or in several: it is the same.
func pack(all []watchers, f form) []*file {
	var files []*file
	for _, ws := range all {
		for _, w := range ws.watches {
			for _, p := range ws.scope {
				for _, match := range w.anyOf {
					if len(files) == 0 || !files[len(files)-1].put(w, p, match) {
						next := &file{form: f}
						next.put(w, p, match)
						files = append(files, next)
					}
				}
			}
		}
	}
	return files
}

// put adds a selector, unless the file would then not load.
func (f *file) put(w watch, p part, match []filter) bool {
	s := f.selector(w, p, match)
	i := slices.IndexFunc(f.entries, func(e *entry) bool { return e.watch.hook.call == w.hook.call })
	e := &entry{watch: w, resolve: p.resolve}
	if i >= 0 {
		e = f.entries[i]
	}
	if e.resolve != p.resolve || e.watch.message != w.message {
		return false // a hook twice in one file was not tried
	}
	whole, own := f.filters, e.filters
	for _, list := range [][]filter{s.MatchArgs, s.MatchData} {
		whole.add(list)
		own.add(list)
	}
	fits := whole.addresses <= maxAddressFilters && own.fits() && (f.form.lsm || whole.fits())
	if len(f.entries) > 0 && (!fits || len(e.selectors) == maxSelectors) {
		return false
	}
	if i < 0 {
		f.entries = append(f.entries, e)
	}
	f.filters, e.filters, f.resolves = whole, own, append(f.resolves, p.resolve)
	e.selectors = append(e.selectors, s)
	return true
}

func (f *file) selector(w watch, p part, match []filter) selector {
	s := selector{MatchArgs: slices.Clone(match), MatchActions: f.form.actions}
	if p.resolve != "" {
		c := p.cgroup
		if f.form.lsm {
			c.Index = w.hook.free()
			s.MatchArgs = append(s.MatchArgs, c)
		} else {
			s.MatchData = []filter{c}
		}
	}
	if p.inside {
		s.MatchNamespaces = []namespace{{Namespace: "Pid", Operator: "NotIn", Values: []text{"host_ns"}}}
	}
	if len(p.binaries) > 0 {
		s.MatchBinaries = []binaries{{Operator: "In", Values: texts(p.binaries), FollowChildren: true}}
	}
	return s
}

// withTask gives the arguments that stand beside the task's cgroup: of a rename
// the first two, more were not tried.
func (h hook) withTask() []argument {
	return h.args[:min(len(h.args), 2)]
}

// free is the index under which an LSM hook takes the task's cgroup.
func (h hook) free() int {
	args := h.withTask()
	return args[len(args)-1].Index + 1
}

// spec gives the file's hooks as Tetragon reads them.
func (f *file) spec(tags []string, r release) spec {
	var out spec
	for _, e := range f.entries {
		h := e.watch.hook
		args, task := h.args, argument{Type: "string", Source: "current_task", Resolve: e.resolve}
		if e.resolve != "" {
			args = h.withTask()
		}
		args = slices.DeleteFunc(slices.Clone(args), func(a argument) bool { return a.since() > r })
		if f.form.lsm {
			if e.resolve != "" {
				task.Index = h.free()
				args = append(args, task)
			}
			out.LSMHooks = append(out.LSMHooks, lsmHook{Hook: h.lsm, Message: e.watch.message, Tags: tags, Args: args, Selectors: e.selectors})
			continue
		}
		k := kprobe{Call: h.call, Syscall: h.syscall, Message: e.watch.message, Tags: tags, Args: args, Selectors: e.selectors}
		if h.missing {
			k.Ignore = &ignore{CallNotFound: true}
		}
		if e.resolve != "" {
			k.Data = []argument{task}
		}
		out.KProbes = append(out.KProbes, k)
	}
	return out
}
