//go:build !race

package reports

const slower = 1
