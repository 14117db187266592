package notify

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
)

// TestStormPayloads holds every message of a storm to the limits of the service
// that it is for, in each mode and format. The first of each sort is in the golden
// files, as it is posted.
func TestStormPayloads(t *testing.T) {
	events := storm(t, 10)
	for _, mode := range Modes() {
		var alerts []Alert
		p := play{
			stage: stageWith(t, func(c *Config) { c.Mode, c.MaxPerMinute = Mode(mode), 12 }),
			told:  func(a Alert) { alerts = append(alerts, a) },
		}
		p.run(events)
		p.end()
		for name, format := range keyedFormats() {
			t.Run(mode+"/"+name, func(t *testing.T) {
				var posted bytes.Buffer
				seen := map[string]bool{}
				for _, a := range alerts {
					payload := encoded(t, format, a)
					validate(t, name, payload.Body)
					if sort := fmt.Sprint(a.Category, a.Event == nil); !seen[sort] {
						seen[sort] = true
						posted.Write(append(bytes.TrimSpace(payload.Body), '\n'))
					}
				}
				golden(t, filepath.Join("storm", mode+"-"+name+".jsonl"), posted.Bytes())
			})
		}
	}
}
