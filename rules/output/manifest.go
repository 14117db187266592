package output

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// manifestName is the file that says which files are g0's.
	manifestName = ".g0-generated"
	// manifestSchema is the value of its key "schema".
	manifestSchema = 1
)

// manifest has for each file that g0 wrote the SHA-256 of what it wrote: of two
// contents while one is being replaced by the other, else of one.
type manifest map[string][]string

// manifestFile is its form on the disk.
type manifestFile struct {
	Schema int      `json:"schema"`
	Files  manifest `json:"files"`
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// wrote says whether g0 wrote that content under that name.
func (m manifest) wrote(name string, content []byte) bool {
	return len(m[name]) > 0 && slices.Contains(m[name], sumOf(content))
}

func (m manifest) equal(o manifest) bool { return maps.EqualFunc(m, o, slices.Equal) }

// both holds what either of the two does.
func (m manifest) both(o manifest) manifest {
	out := maps.Clone(m)
	for name, sums := range o {
		out[name] = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(out[name]), sums...))))
	}
	return out
}

func (m manifest) encode() ([]byte, error) {
	b, err := json.Marshal(manifestFile{manifestSchema, m}, json.Deterministic(true), jsontext.WithIndent("  "))
	return append(b, '\n'), err
}

// readManifest reads the manifest of the folder; without one nothing is g0's.
func (d *dir) readManifest() (manifest, error) {
	f, err := d.read(manifestName)
	if err != nil || f == nil {
		return manifest{}, err
	}
	m, err := parseManifest(f.content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; without it g0 takes the files for somebody else's", manifestName, err)
	}
	return m, nil
}

func parseManifest(b []byte) (manifest, error) {
	var out manifestFile
	if err := json.UnmarshalRead(bytes.NewReader(b), &out, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	if out.Schema != manifestSchema {
		return nil, fmt.Errorf("schema %d, this g0 reads %d", out.Schema, manifestSchema)
	}
	for name := range out.Files {
		if err := checkName(name); err != nil {
			return nil, err
		}
	}
	if out.Files == nil {
		out.Files = manifest{}
	}
	return out.Files, nil
}
