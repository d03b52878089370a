package flagdfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// exchange lets two files change places in one step and says true, or, where the
// file system can't, puts a over b and says false.
func exchange(a, b string) (bool, error) {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return false, os.Rename(a, b)
	}
	return err == nil, err
}

// adopt gives a file the mode and the owner of another.
func adopt(t *os.File, like fs.FileInfo) error {
	if s, ok := like.Sys().(*syscall.Stat_t); ok {
		now, err := t.Stat()
		if err != nil {
			return err
		}
		if mine, ok := now.Sys().(*syscall.Stat_t); !ok || mine.Uid != s.Uid || mine.Gid != s.Gid {
			if err := t.Chown(int(s.Uid), int(s.Gid)); err != nil {
				return err
			}
		}
	}
	return t.Chmod(like.Mode().Perm()) // after chown, which may drop bits
}
