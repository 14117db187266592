package component

import (
	"errors"
	"fmt"
	"strings"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/audit"
	"github.com/guard0-ai/g0-sidecar/pipeline/control"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// newAudit opens the audit log of the state folder and starts what writes it.
func (rt *Runtime) newAudit(conf *service.ParsedConfig, ks control.KillSwitch) (*audit.Log, error) {
	var g getter
	fields := conf.Namespace("audit")
	size, files := get(&g, fields.FieldInt, "max_file_bytes"), get(&g, fields.FieldInt, "max_files")
	if err := g.err(); err != nil {
		return nil, err
	}
	if size < 1 || files < 1 {
		return nil, errors.New("audit: max_file_bytes and max_files must be at least 1")
	}
	l, err := audit.Open(rt.Spine.Dir(), audit.Options{
		After: rt.Spine.Restored(), MaxBytes: int64(size), MaxFiles: files, Log: rt.Log, Board: rt.Spine.Board,
		Started: fmt.Sprintf("version %s, auto_enabled %t, actions %s", rt.Spine.Version(), ks.AutoEnabled, strings.Join(ks.Actions, " ")),
	})
	if err != nil {
		return nil, err
	}
	if err := rt.Spine.Register(audit.Part, l); err != nil {
		return nil, err
	}
	rt.Spine.Serve(audit.Part, l)
	return l, nil
}

// audited says whether an event of g0's own stands in the audit log: what was
// decided and done, and what a person asked for.
func audited(ev *event.Event) bool {
	if ev.Source != event.SourceG0 {
		return false
	}
	switch ev.Type {
	case event.TypeKillSwitchTripped, event.TypeKillSwitchWithheld, event.TypeKillSwitchResumed, event.TypeKillSwitchAction,
		event.TypeKillSwitchStopAsked, event.TypeKillSwitchResumeAsk,
		event.TypeBaselineImportAsk, event.TypeBaselineFreezeAsk, event.TypeBaselineResetAsk:
		return true
	}
	return false
}
