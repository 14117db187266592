package event

import "fmt"

// Parse reads raw as format says. It is how a journalled record becomes an
// event again: pure, so that a replay gives the same event. The caller keeps
// raw; the event holds a copy.
func Parse(format Format, raw []byte) (*Event, error) {
	switch format {
	case FormatOpenClaw:
		return ParseOpenClaw(raw)
	case FormatFalco:
		return ParseFalco(raw)
	case FormatTetragonJSON:
		return ParseTetragonJSON(raw)
	case FormatTetragonProto:
		return ParseTetragonProto(raw)
	case FormatG0:
		return Decode(raw)
	default:
		return nil, fmt.Errorf("parse event: unknown format %q", format)
	}
}
