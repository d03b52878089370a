//go:build race

package web_test

// slower is how much slower a program is with the race detector, by its
// documentation.
const slower = 10
