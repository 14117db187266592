package baseline

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// recorded gives what the agent's container did in a file recorded from a real
// Tetragon: its normal work, and the attack that begins at the given time.
func recorded(t *testing.T, name string, attackAt string) (work, attack []*event.Event) {
	t.Helper()
	b, err := os.ReadFile("../../../testdata/tetragon/" + name)
	if err != nil {
		t.Fatal(err)
	}
	from, err := time.Parse(time.RFC3339, attackAt)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		ev, err := event.Parse(event.FormatTetragonJSON, bytes.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case !strings.HasPrefix(ev.Container.ID, "4f1c0de5"):
		case ev.Time.Before(from):
			work = append(work, ev)
		default:
			attack = append(attack, ev)
		}
	}
	return work, attack
}

// TestRecorded: once the recorded work of an agent is known, doing it again tells
// nothing, and the recorded attack tells of its programs and destinations.
func TestRecorded(t *testing.T) {
	work, attack := recorded(t, "agent-under-attack.jsonl", "2026-11-23T12:56:51.5Z")
	cfg := DefaultConfig()
	// The recording policies watch the agent's own keys and sessions too.
	cfg.Harmless = append(cfg.Harmless, event.TypeCredentialAccess, event.TypeCrossAccess)
	st := open(t, cfg)
	seq, now := uint64(0), start
	do := func(events []*event.Event) (told []*event.Event) {
		for _, ev := range events {
			seq++
			now = now.Add(50 * time.Millisecond)
			again := *ev
			again.ID, again.Seq, again.Received = fmt.Sprint("e", seq), seq, now
			again.Agent = event.Agent{ID: "main", Gateway: "gw", By: event.ByKernel}
			told = append(told, st.Apply(&again)...)
		}
		return told
	}
	for range 48 {
		for _, d := range do(work) {
			if d.Type != event.TypeBaselineActive {
				t.Fatalf("while it is learned: %s", lines([]*event.Event{d}))
			}
		}
		now = now.Add(time.Hour)
	}
	if st := statusOf(t, st, "main"); st.State != StateActive {
		t.Fatalf("not active: %+v", st.Missing)
	}
	if told := do(work); len(told) > 0 {
		t.Errorf("the work again tells %q", lines(told))
	}
	var got []string
	for _, d := range do(attack) {
		if d.Type == event.TypeBaselineFirstSeen {
			got = append(got, d.Severity.String()+" "+d.Baseline.Feature+" "+d.Baseline.Item)
		}
	}
	want := []string{
		"low file read /data/.openclaw/agents/research/**",
		"low file write /data/.openclaw/agents/research/**",
		"low file read /data/.openclaw/credentials",
		"low file read /etc",
		"low file read /root/.ssh",
		"low file read /root/.aws",
		"medium binary /bin/find",
		"medium binary /usr/bin/curl",
		"low type binary.sensitive",
		"medium destination 203.0.113.7:443",
		"low type egress.unexpected",
		"medium destination 203.0.113.66:80",
		"medium binary /usr/bin/wget",
		"medium destination 198.51.100.9:80",
		"medium binary /usr/bin/nc",
		"medium destination 198.51.100.9:4444",
		"medium binary /usr/bin/nmap",
		"medium binary /usr/bin/gcc",
		"medium binary /usr/bin/trig",
		"medium destination [2001:db8::7]:443",
		"medium destination 198.51.100.9:443",
		"medium destination 203.0.113.7:53",
		"medium destination [2001:db8::7]:53",
		"low file connect /var/run/docker.sock",
		"low type docker.socket_access",
		"low type log.tampering",
		"low file write /var/log",
		"medium binary /bin/rm",
		"medium binary /dev/fd/#",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
