package state

import "errors"

// Damaged takes the damaged entries out of an error of [Queue.Pending]; what else
// went wrong stays.
func Damaged(err error) (damaged []*CorruptError, other error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			d, o := Damaged(e)
			damaged, other = append(damaged, d...), errors.Join(other, o)
		}
		return damaged, other
	}
	if d, ok := errors.AsType[*CorruptError](err); ok && d.ID != "" {
		return []*CorruptError{d}, nil
	}
	return nil, err
}
