//go:build !unix

package scrape

import "errors"

// freeBytes can't tell here; a failed write does.
func freeBytes(string) (uint64, error) { return 0, errors.ErrUnsupported }
