package component

import (
	"errors"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// getter collects the errors of reading many fields, so that a constructor reads
// as a list of its fields.
type getter struct{ errs []error }

func (g *getter) err() error { return errors.Join(g.errs...) }

func (g *getter) note(err error) {
	if err != nil {
		g.errs = append(g.errs, err)
	}
}

func get[T any](g *getter, field func(...string) (T, error), name string) T {
	v, err := field(name)
	g.note(err)
	return v
}

func getList[T any](g *getter, field func(...string) ([]T, error), name string) []T {
	v, err := field(name)
	g.note(err)
	return v
}

func getSecret(g *getter, conf *service.ParsedConfig, name string) config.Secret {
	v, err := secret(conf, name)
	g.note(err)
	return v
}

func getSeverity(g *getter, conf *service.ParsedConfig, name string) (s event.Severity) {
	g.note(s.UnmarshalText([]byte(get(g, conf.FieldString, name))))
	return s
}
