package event

import (
	"maps"
	"slices"
	"strings"

	"github.com/cilium/tetragon/api/v1/tetragon"
)

// fullID is the length of a container id.
const fullID = 64

// actors is what every event with a process has.
type actors interface {
	GetProcess() *tetragon.Process
	GetParent() *tetragon.Process
	GetAncestors() []*tetragon.Process
}

// setProcess fills Process and Container in.
func (e *Event) setProcess(a actors) {
	p := a.GetProcess()
	if p == nil {
		return
	}
	e.Process = &Process{
		PID: p.GetPid().GetValue(), Start: protoTime(p.GetStartTime()),
		Exe: p.GetBinary(), Args: p.GetArguments(), Command: wrappedCommand(p.GetArguments()),
		Cwd: p.GetCwd(), ExecID: p.GetExecId(), Ancestors: ancestorsOf(a),
	}
	if p.GetUid() != nil {
		uid := p.GetUid().GetValue()
		e.Process.UID = &uid
	}
	e.Container.ID = p.GetDocker()
	pod := p.GetPod()
	if pod == nil {
		return
	}
	e.Container.Pod, e.Container.Namespace = pod.GetName(), pod.GetNamespace()
	e.setPodLabels(pod)
	if c := pod.GetContainer(); c != nil {
		e.Container.Name, e.Container.Image = c.GetName(), c.GetImage().GetName()
		if id := bareContainerID(c.GetId()); id != "" {
			e.Container.ID = id
		}
	}
}

const (
	// LabelWorkload is the name under which Labels has the pod's workload, a
	// Deployment's name for instance. No label of Kubernetes begins like this.
	LabelWorkload = "@workload"
	// maxPodLabels bounds the labels that are kept of a pod; of more these are the
	// first in the order of the alphabet.
	maxPodLabels = 128
)

// setPodLabels keeps the labels of the pod.
func (e *Event) setPodLabels(pod *tetragon.Pod) {
	labels := pod.GetPodLabels()
	if len(labels) == 0 && pod.GetWorkload() == "" {
		return
	}
	e.Labels = make(map[string]string, min(len(labels), maxPodLabels)+1)
	if len(labels) <= maxPodLabels {
		maps.Copy(e.Labels, labels)
	} else {
		for _, name := range slices.Sorted(maps.Keys(labels))[:maxPodLabels] {
			e.Labels[name] = labels[name]
		}
		e.Unparsed = append(e.Unparsed, "pod_labels")
	}
	if w := pod.GetWorkload(); w != "" {
		e.Labels[LabelWorkload] = w
	}
}

// ancestorsOf gives what is known of the processes above. Where Tetragon sends no
// ancestors the parent still names its own: a parent that only forked, a shell's
// "( … )" for instance, is in no event of its own.
func ancestorsOf(a actors) []Ancestor {
	parent, above := a.GetParent(), a.GetAncestors()
	if parent == nil && len(above) == 0 {
		return nil
	}
	out := make([]Ancestor, 0, min(2+len(above), maxAncestors))
	if parent != nil {
		out = append(out, ancestor(parent))
		if id := parent.GetParentExecId(); id != "" && len(above) == 0 {
			out = append(out, Ancestor{ExecID: id})
		}
	}
	for _, p := range above[:min(len(above), maxAncestors-len(out))] {
		out = append(out, ancestor(p))
	}
	return out
}

func ancestor(p *tetragon.Process) Ancestor {
	return Ancestor{PID: p.GetPid().GetValue(), Exe: p.GetBinary(), Args: p.GetArguments(), ExecID: p.GetExecId()}
}

// bareContainerID cuts the runtime off a Kubernetes id, "containerd://<64 hex>".
func bareContainerID(id string) string {
	_, bare, ok := strings.Cut(id, "://")
	if !ok {
		return id
	}
	return bare
}

// setFullID looks for the whole id of the container among strings that the
// policy had the kernel add: the name of the task's cgroup, of which process
// has 31 characters or, in a cgroup below the container's, none. Where the
// strings may be the process's own (fromKernel is false), one counts only if it
// goes on what process says: a file can be called anything.
func (e *Event) setFullID(data []*tetragon.KprobeArgument, fromKernel bool) {
	short := e.Container.ID
	for _, d := range data {
		s, ok := d.GetArg().(*tetragon.KprobeArgument_StringArg)
		if !ok {
			continue
		}
		id := containerOfCgroup(s.StringArg)
		if id == "" || !strings.HasPrefix(id, short) || short == "" && !fromKernel {
			continue
		}
		e.Container.ID = id
		return
	}
}

// containerOfCgroup gives the container that a cgroup's last part names: 64 hex
// digits, as Docker with cgroupfs has it, or with systemd the runtime's name
// before and ".scope" after them. "" for others.
func containerOfCgroup(name string) string {
	if scope, ok := strings.CutSuffix(name, ".scope"); ok {
		name = scope[strings.LastIndexByte(scope, '-')+1:]
	}
	if len(name) != fullID || strings.Trim(name, "0123456789abcdef") != "" {
		return ""
	}
	return name
}
