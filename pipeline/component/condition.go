package component

import (
	"errors"
	"fmt"

	"github.com/benthosdev/benthos/v4/public/bloblang"

	"github.com/guard0-ai/g0-sidecar/pipeline/stage/correlate"
)

const (
	// maxWork bounds what a condition may cost on one event: its weight times the
	// event's size in bytes. It is no time, so that a replay gives up at the same
	// events; BenchmarkWorstCondition says what it comes to.
	maxWork = 32 << 20
	// maxDepth bounds brackets within brackets: the parser's time grows with them.
	maxDepth = 8
)

// conditionMethods are the methods that a condition may use. None reads a clock,
// a file or chance, none depends on the order of a map, none takes much longer
// than reading what it is given, and none makes something much larger of it: no
// map_each, fold, format, sort, values, parse_yaml or decompress.
var conditionMethods = map[string]bool{
	"abs": true, "all": true, "any": true, "bool": true, "catch": true, "ceil": true, "contains": true,
	"exists": true, "filepath_split": true, "floor": true, "has_prefix": true, "has_suffix": true,
	"index": true, "index_of": true, "int64": true, "keys": true, "length": true, "lowercase": true, "max": true,
	"min": true, "not_empty": true, "not_null": true, "number": true, "or": true, "parse_json": true,
	"re_match": true, "round": true, "slice": true, "split": true, "string": true, "trim": true,
	"trim_prefix": true, "trim_suffix": true, "ts_unix": true, "type": true, "uppercase": true,
}

// conditionBloblang knows these methods and no function at all: even Bloblang's
// pure ones read the clock (now), chance (uuid_v4) and count calls (counter).
var conditionBloblang = func() *bloblang.Environment {
	env := bloblang.GlobalEnvironment().OnlyPure().WithDisabledImports()
	var methods, functions []string
	env.WalkMethods(func(name string, _ *bloblang.MethodView) {
		if !conditionMethods[name] {
			methods = append(methods, name)
		}
	})
	env.WalkFunctions(func(name string, _ *bloblang.FunctionView) { functions = append(functions, name) })
	return env.WithoutMethods(methods...).WithoutFunctions(functions...)
}()

// condition is a rule's `where`, a Bloblang query on the event's JSON.
type condition struct {
	query  *bloblang.Executor
	weight int
}

var _ correlate.Condition = condition{}

// CompileCondition compiles a `where`. What could take long, grow, or answer
// otherwise in a replay is refused.
func CompileCondition(expr string) (correlate.Condition, error) {
	weight, err := checkCondition(expr)
	if err != nil {
		return nil, err
	}
	q, err := conditionBloblang.Parse("root = " + expr)
	if err != nil {
		return nil, err
	}
	return condition{q, weight}, nil
}

var errTooMuchWork = errors.New("the event is too large for this condition")

// Holds says whether the query gives true; anything but a boolean is an error, as
// is an event that would take too much work.
func (c condition) Holds(doc *correlate.Document) (bool, error) {
	if size := doc.Size(); size > maxWork/c.weight {
		return false, fmt.Errorf("%w: %d bytes, up to %d are possible", errTooMuchWork, size, maxWork/c.weight)
	}
	in, err := doc.Value()
	if err != nil {
		return false, err
	}
	v, err := c.query.Query(in)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("gave %T, not true or false", v)
	}
	return b, nil
}
