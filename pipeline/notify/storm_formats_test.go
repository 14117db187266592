package notify

import (
	"bytes"
	"path/filepath"
	"testing"
)

// kindOf names what a format has to show differently: golden files have the first
// alert of each.
func kindOf(a Alert) string {
	kind := a.Category
	switch {
	case a.Digest != nil, a.Event == nil:
		kind += " summed up"
	case len(a.Suppressed) > 0:
		kind += " and more"
	}
	if a.Incident != "" {
		kind += " of an incident"
	}
	if a.Ends {
		kind += " that ends"
	}
	return kind
}

// TestStormInEveryFormat has what each mode tells of an hour of the recorded events
// written by each format and judged by its limits; the first of each kind is in the
// golden files, a message a line.
func TestStormInEveryFormat(t *testing.T) {
	events := storm(t, 4)
	for _, mode := range Modes() {
		var alerts []Alert
		p := play{
			stage: stageWith(t, func(c *Config) { c.Mode = Mode(mode) }),
			told:  func(a Alert) { alerts = append(alerts, a) },
		}
		p.run(events)
		p.end()
		for name, format := range keyedFormats() {
			t.Run(mode+"/"+name, func(t *testing.T) {
				var first bytes.Buffer
				seen := map[string]bool{}
				for _, a := range alerts {
					payload := encoded(t, format, a)
					validate(t, name, payload.Body)
					if kind := kindOf(a); !seen[kind] {
						seen[kind] = true
						first.Write(append(payload.Body, '\n'))
					}
				}
				golden(t, filepath.Join(name, "storm-"+mode+".jsonl"), first.Bytes())
			})
		}
	}
}
