//go:build race

package reports

// slower is how much slower a program is with the race detector, by its
// documentation.
const slower = 10
