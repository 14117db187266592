package check

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// mounts gives a service's volumes as source:target[:ro], sorted.
func mounts(s types.ServiceConfig) string {
	var out []string
	for _, v := range s.Volumes {
		m := v.Source + ":" + v.Target
		if v.ReadOnly {
			m += ":ro"
		}
		out = append(out, m)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
