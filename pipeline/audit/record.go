// Package audit keeps what was decided, done and ordered in an append-only log
// whose lines are chained by hashes: who changes, removes or inserts a line breaks
// the chain at that line. Who can write the files can cut off their end, or write
// all of them anew; only a hash that was noted elsewhere shows that.
package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Types of records that are no events.
const (
	TypeStarted = "g0.started"    // g0 began to run
	TypeStopped = "g0.stopped"    // and ended in order
	TypeCut     = "audit.cut"     // an unfinished last line, of a crash, was cut off
	TypeDamaged = "audit.damaged" // the log was found damaged
	TypeLost    = "audit.lost"    // records could not be written
	TypeRotated = "audit.rotated" // the first record of a further file
)

const (
	// maxText bounds each string of a record, in characters.
	maxText = 500
	// maxEvidence bounds the evidence of a record.
	maxEvidence = 16
)

// Record is what one line tells.
type Record struct {
	// At is when it happened, by the sidecar's clock.
	At time.Time `json:"time"`
	// Type of the event, or one of the Type constants.
	Type string `json:"type"`
	// ID of the event; empty where the record is of none. A record whose ID the
	// log has already is not written again.
	ID string `json:"id,omitzero"`
	// Place of the event in the journal.
	Place     uint64          `json:"place,omitzero"`
	Agent     event.Agent     `json:"agent,omitzero"`
	Container event.Container `json:"container,omitzero"`
	// KillSwitch is the decision, the order or the result.
	KillSwitch *event.KillSwitch `json:"killswitch,omitzero"`
	// Message in words. Attacker text may be in it.
	Message string `json:"message,omitzero"`
}

// Of gives the record of an event, of bounded size.
func Of(ev *event.Event) Record {
	r := Record{
		At: ev.Received.UTC(), Type: ev.Type, ID: event.Clean(ev.ID, maxText), Place: ev.Seq, Message: event.Clean(ev.Message, maxText),
		Agent: event.Agent{
			ID: event.Clean(ev.Agent.ID, maxText), Gateway: event.Clean(ev.Agent.Gateway, maxText), By: ev.Agent.By,
			Claim: event.Clean(ev.Agent.Claim, maxText),
		},
		Container: event.Container{ID: event.Clean(ev.Container.ID, maxText), Name: event.Clean(ev.Container.Name, maxText)},
	}
	if ev.KillSwitch != nil {
		k := *ev.KillSwitch
		for _, s := range []*string{&k.State, &k.Rule, &k.Reason, &k.Scope, &k.Actor, &k.Action, &k.Error} {
			*s = event.Clean(*s, maxText)
		}
		k.Evidence = nil
		for _, id := range ev.KillSwitch.Evidence[:min(len(ev.KillSwitch.Evidence), maxEvidence)] {
			k.Evidence = append(k.Evidence, event.Clean(id, maxText))
		}
		r.KillSwitch = &k
	}
	return r
}

// Line is one line of the log as JSON has it. Hash is the SHA-256, in lower-case
// hexadecimal, of the line up to the comma before "hash"; Prev is that of the line
// before, of zeros in the very first.
type Line struct {
	// Seq counts the lines from 1, over all files.
	Seq    uint64 `json:"seq"`
	Prev   string `json:"prev"`
	Record `json:",inline"`
	Hash   string `json:"hash,omitzero"`
}

const hashLen = 2 * sha256.Size

// tail is what follows the hashed part of a line, with a hash between its halves.
const (
	tailHead = `,"hash":"`
	tailEnd  = `"}`
	tailLen  = len(tailHead) + hashLen + len(tailEnd)
)

// noHash is the Prev of the first line.
var noHash = strings.Repeat("0", hashLen)

// appendLine writes the line behind b, newline included, and gives its hash.
func appendLine(b []byte, l Line) (out []byte, hash string, err error) {
	l.Hash = ""
	body, err := json.Marshal(l, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return b, "", fmt.Errorf("encode audit record: %w", err)
	}
	body = body[:len(body)-1]
	hash = hashOf(body)
	b = append(append(b, body...), tailHead...)
	return append(append(b, hash...), tailEnd+"\n"...), hash, nil
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// parseLine reads a line, without its newline, and checks its own hash.
func parseLine(b []byte) (Line, error) {
	body, tail := b[:max(0, len(b)-tailLen)], b[max(0, len(b)-tailLen):]
	if len(tail) != tailLen || string(tail[:len(tailHead)]) != tailHead || string(tail[tailLen-len(tailEnd):]) != tailEnd {
		return Line{}, errors.New("is no line of an audit log: it does not end with its hash")
	}
	if string(tail[len(tailHead):len(tailHead)+hashLen]) != hashOf(body) {
		return Line{}, errors.New("was changed: its hash is another")
	}
	return decodeLine(b)
}

// decodeLine reads a line without a look at its hash.
func decodeLine(b []byte) (l Line, err error) {
	if err := json.Unmarshal(b, &l); err != nil {
		return Line{}, fmt.Errorf("cannot be read: %w", err)
	}
	return l, nil
}
