package event

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Decode reads the form that [Event.AppendJSON] writes. Unknown keys are
// ignored, since a user's mapping may add some; a key given twice, invalid UTF-8
// and an unknown schema are errors.
func Decode(b []byte) (*Event, error) {
	var wire struct {
		Event
		Raw jsontext.Value `json:"raw"`
	}
	if err := json.Unmarshal(b, &wire); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	e := wire.Event
	if e.Schema != SchemaVersion {
		return nil, fmt.Errorf("decode event: schema %d, this g0 reads %d", e.Schema, SchemaVersion)
	}
	if e.Type == "" {
		return nil, errors.New("decode event: no type")
	}
	if e.Format == FormatTetragonProto && len(wire.Raw) > 0 {
		if err := json.Unmarshal(wire.Raw, &e.Raw); err != nil {
			return nil, fmt.Errorf("decode event: raw: %w", err)
		}
	} else if len(wire.Raw) > 0 {
		e.Raw = appendOneLine(nil, wire.Raw)
	}
	if len(e.Data) > 0 {
		e.Data = appendOneLine(nil, e.Data)
	}
	e.Time, e.Received = inRange(e.Time), inRange(e.Received)
	if e.Process != nil {
		e.Process.Start = inRange(e.Process.Start)
	}
	if k := e.KillSwitch; k != nil {
		k.Expires = inRange(k.Expires)
	}
	if c := e.Coverage; c != nil {
		c.Since, c.Until = inRange(c.Since), inRange(c.Until)
	}
	if t := e.Threat; t != nil {
		for i := range t.Evidence {
			t.Evidence[i].Received = inRange(t.Evidence[i].Received)
		}
	}
	return &e, nil
}
