//go:build !race

package reports_test

const slower = 1
