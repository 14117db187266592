package event

import (
	"encoding/base64"
	"strconv"
)

// AppendJSON appends the event as one JSON object without a newline. It writes
// by hand because every event is encoded once or twice on the hot path;
// [Decode] reads the same form by reflection, and a test holds both together.
func (e *Event) AppendJSON(dst []byte) []byte {
	w := writer{buf: dst}
	appendHead(&w, e.Schema, e.Agent)
	w.str("id", e.ID)
	w.uint("seq", e.Seq)
	w.str("source", string(e.Source))
	w.str("sender", e.Sender)
	w.str("type", e.Type)
	w.time("time", e.Time)
	w.time("received", e.Received)
	w.str("severity", e.Severity.String())
	e.Session.append(&w)
	e.Container.append(&w)
	w.strMap("labels", e.Labels)
	w.str("host", e.Host)
	if e.Process != nil {
		e.Process.append(&w)
	}
	if e.File != nil {
		e.File.append(&w)
	}
	if e.Network != nil {
		e.Network.append(&w)
	}
	if e.Tool != nil {
		e.Tool.append(&w)
	}
	w.str("rule", e.Rule)
	w.str("policy", e.Policy)
	w.str("hook", e.Hook)
	w.str("action", string(e.Action))
	w.str("asked", e.Asked)
	w.str("message", e.Message)
	w.str("duplicate_of", e.DuplicateOf)
	w.strs("unparsed", e.Unparsed)
	w.str("stage", e.Stage)
	w.str("cause", e.Cause)
	if e.Threat != nil {
		e.Threat.append(&w)
	}
	if e.KillSwitch != nil {
		e.KillSwitch.append(&w)
	}
	if e.Coverage != nil {
		e.Coverage.append(&w)
	}
	if e.Baseline != nil {
		e.Baseline.append(&w)
	}
	e.Origin.append(&w)
	if len(e.Data) > 0 {
		w.key("data")
		w.buf = appendOneLine(w.buf, e.Data)
	}
	e.appendRaw(&w)
	w.str("format", string(e.Format))
	w.close('}')
	return w.buf
}

// appendHead writes what stands first: the agent, so that it can be replaced
// without writing the rest again.
func appendHead(w *writer, schema int, a Agent) {
	w.open('{')
	w.key("schema")
	w.buf = strconv.AppendInt(w.buf, int64(schema), 10)
	a.append(w)
}

// ReplaceAgent appends content, which [Event.AppendJSON] made of an event with
// this schema and the agent old, with the agent now in its place.
func ReplaceAgent(dst, content []byte, schema int, old, now Agent) []byte {
	w := writer{buf: dst}
	appendHead(&w, schema, old)
	skip := len(w.buf) - len(dst)
	w = writer{buf: dst}
	appendHead(&w, schema, now)
	return append(w.buf, content[skip:]...)
}

func (e *Event) appendRaw(w *writer) {
	if len(e.Raw) == 0 {
		return
	}
	w.key("raw")
	if e.Format != FormatTetragonProto {
		w.buf = appendOneLine(w.buf, e.Raw)
		return
	}
	w.buf = append(w.buf, '"')
	w.buf = base64.StdEncoding.AppendEncode(w.buf, e.Raw)
	w.buf = append(w.buf, '"')
}

func (a Agent) append(w *writer) {
	if a == (Agent{}) {
		return
	}
	w.object("agent", func() {
		w.str("id", a.ID)
		w.str("gateway", a.Gateway)
		w.str("by", string(a.By))
		w.str("claim", a.Claim)
	})
}

func (s Session) append(w *writer) {
	if s == (Session{}) {
		return
	}
	w.object("session", func() {
		w.str("id", s.ID)
		w.str("key", s.Key)
	})
}

func (c Container) append(w *writer) {
	if c == (Container{}) {
		return
	}
	w.object("container", func() {
		w.str("id", c.ID)
		w.str("name", c.Name)
		w.str("image", c.Image)
		w.str("pod", c.Pod)
		w.str("namespace", c.Namespace)
	})
}

func (p *Process) append(w *writer) {
	w.object("process", func() {
		w.uint("pid", uint64(p.PID))
		w.time("start", p.Start)
		w.str("exe", p.Exe)
		w.str("args", p.Args)
		w.str("command", p.Command)
		w.str("cwd", p.Cwd)
		if p.UID != nil {
			w.key("uid")
			w.buf = strconv.AppendUint(w.buf, uint64(*p.UID), 10)
		}
		w.str("exec_id", p.ExecID)
		if len(p.Ancestors) > 0 {
			w.key("ancestors")
			w.open('[')
			for _, a := range p.Ancestors {
				w.element()
				w.open('{')
				w.uint("pid", uint64(a.PID))
				w.str("exe", a.Exe)
				w.str("args", a.Args)
				w.str("exec_id", a.ExecID)
				w.close('}')
			}
			w.close(']')
		}
		w.str("signal", p.Signal)
		w.uint("status", uint64(p.Status))
	})
}

func (f *File) append(w *writer) {
	w.object("file", func() {
		w.str("path", f.Path)
		w.str("new_path", f.NewPath)
		w.str("op", f.Op)
	})
}

func (t *Tool) append(w *writer) {
	w.object("tool", func() {
		w.str("name", t.Name)
		w.str("call_id", t.CallID)
		w.str("command", t.Command)
		w.str("error", t.Error)
	})
}

func (n *Network) append(w *writer) {
	w.object("network", func() {
		w.str("protocol", n.Protocol)
		w.addr("src_ip", n.SrcIP)
		w.uint("src_port", uint64(n.SrcPort))
		w.addr("dst_ip", n.DstIP)
		w.uint("dst_port", uint64(n.DstPort))
		w.str("domain", n.Domain)
	})
}

func (o Origin) append(w *writer) {
	if o == (Origin{}) {
		return
	}
	w.object("origin", func() {
		w.str("peer", o.Peer)
		w.str("token", o.Token)
		w.str("agent", o.Agent)
		w.str("gateway", o.Gateway)
		w.bool("sensor", o.Sensor)
		w.str("policy_mode", o.PolicyMode)
		w.str("position", o.Position)
	})
}

func (t *Threat) append(w *writer) {
	w.object("threat", func() {
		w.text("rule", t.Rule)
		w.text("title", t.Title)
		w.float("confidence", t.Confidence)
		w.strs("attack", t.Attack)
		w.strs("atlas", t.Atlas)
		w.text("narrative", t.Narrative)
		w.bool("inferred", t.Inferred)
		w.strs("suspects", t.Suspects)
		w.key("evidence")
		w.open('[')
		for _, p := range t.Evidence {
			w.element()
			w.open('{')
			w.text("id", p.ID)
			w.text("type", p.Type)
			w.text("source", string(p.Source))
			w.instant("received", p.Received)
			w.str("summary", p.Summary)
			w.close('}')
		}
		w.close(']')
	})
}

func (k *KillSwitch) append(w *writer) {
	w.object("killswitch", func() {
		w.text("state", k.State)
		w.str("rule", k.Rule)
		w.str("reason", k.Reason)
		w.str("scope", k.Scope)
		w.time("expires", k.Expires)
		w.str("actor", k.Actor)
		w.str("action", k.Action)
		w.bool("verified", k.Verified)
		w.str("error", k.Error)
		w.int("took_ns", k.TookNS)
		w.strs("evidence", k.Evidence)
	})
}

func (c *Coverage) append(w *writer) {
	w.object("coverage", func() {
		w.text("what", c.What)
		w.text("reason", c.Reason)
		w.str("detail", c.Detail)
		w.uint("count", c.Count)
		w.time("since", c.Since)
		w.time("until", c.Until)
	})
}

func (b *Baseline) append(w *writer) {
	w.object("baseline", func() {
		w.text("feature", b.Feature)
		w.str("item", b.Item)
		if b.Rate != 0 {
			w.float("rate", b.Rate)
		}
		if b.Usual != 0 {
			w.float("usual", b.Usual)
		}
		w.int("known", int64(b.Known))
	})
}
