//go:build unix

package scrape

import "golang.org/x/sys/unix"

// freeBytes says how much an ordinary user can still write below dir.
func freeBytes(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}
