//go:build !linux

package flagdfile

import (
	"io/fs"
	"os"
)

// exchange puts a over b: what somebody wrote since the last look is lost.
func exchange(a, b string) (bool, error) { return false, os.Rename(a, b) }

// adopt gives a file the mode of another.
func adopt(t *os.File, like fs.FileInfo) error { return t.Chmod(like.Mode().Perm()) }
