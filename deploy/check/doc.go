// Package check has Docker Compose's own loader read what g0 generates for it.
// It is a module of its own, so that nothing of Compose comes into g0.
package check
