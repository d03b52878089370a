//go:build race

package reports_test

// slower is how much slower a program is with the race detector, by its
// documentation.
const slower = 10
