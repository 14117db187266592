package openclaw

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"syscall"
)

const (
	// MaxConfigSize bounds openclaw.json in bytes. The decoder takes up to forty times
	// as much memory: lists of empty objects were the worst.
	MaxConfigSize = 4 << 20
	// MaxAgents bounds the agents that are read.
	MaxAgents = 100_000
)

// ReadConfig reads the openclaw.json at path; see [ParseConfig].
func ReadConfig(path string) (*Config, error) {
	f, err := os.OpenFile(path, readOnly, 0)
	if err != nil {
		return nil, fmt.Errorf("read OpenClaw's config: %w", err)
	}
	return read(path, f)
}

// ReadConfigIn reads the file of that name in a folder, and follows no link out of
// it. path is what errors call it.
func ReadConfigIn(folder *os.Root, name, path string) (*Config, error) {
	f, err := folder.OpenFile(name, readOnly, 0)
	if err != nil {
		return nil, fmt.Errorf("read OpenClaw's config: %w", err)
	}
	return read(path, f)
}

// readOnly does not wait where a pipe stands in the file's place.
const readOnly = os.O_RDONLY | syscall.O_NONBLOCK

func read(path string, f *os.File) (*Config, error) {
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read OpenClaw's config: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read OpenClaw's config %s: it is no file but %s", path, info.Mode().Type())
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxConfigSize+1))
	if err != nil {
		return nil, fmt.Errorf("read OpenClaw's config: %w", err)
	}
	return ParseConfig(path, b)
}

// ParseConfig reads the JSON5 text of the file so called. A file that OpenClaw
// could not read is an error with its line and column, which shows no value of it.
// Keys that are not known here are passed over; see [Config.Odd].
func ParseConfig(file string, b []byte) (*Config, error) {
	if len(b) > MaxConfigSize {
		return nil, fmt.Errorf("%s: is larger than %d bytes", file, MaxConfigSize)
	}
	root, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", file, err)
	}
	top, ok := root.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: is not an object", file)
	}
	c := new(Config)
	f := filler{}
	f.fill("", top, reflect.ValueOf(c).Elem())
	if agents, ok := top["agents"].(map[string]any); ok {
		f.list(agents["list"], &c.Agents)
	}
	if n := len(c.Agents.Entries); n > MaxAgents {
		return nil, fmt.Errorf("%s: agents: has %d entries, at most %d", file, n, MaxAgents)
	}
	c.Odd = f.odd
	return c, nil
}

// list reads agents.list, of which each has its id with it.
func (f *filler) list(val any, into *Agents) {
	if val == nil {
		return
	}
	into.List = true
	from, ok := val.([]any)
	if !ok {
		f.odd = append(f.odd, "agents.list")
		return
	}
	if into.Entries == nil {
		into.Entries = make(map[string]Agent, len(from))
	}
	for i, m := range from {
		key := fmt.Sprintf("agents.list[%d]", i)
		object, _ := m.(map[string]any)
		id, ok := object["id"].(string)
		if !ok {
			f.odd = append(f.odd, key)
			continue
		}
		if _, ok := into.Entries[id]; ok {
			continue
		}
		var a Agent
		f.fill(key, object, reflect.ValueOf(&a).Elem())
		into.Entries[id] = a
	}
}
