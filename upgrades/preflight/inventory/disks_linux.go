package inventory

import (
	"context"

	"golang.org/x/sys/unix"
)

// disks puts down the file systems of the directories that upgrades fill, each once.
func (t *taker) disks(context.Context) {
	seen := map[unix.Fsid]bool{}
	for _, dir := range []string{"/", "/var", "/opt", "/usr", "/tmp", "/srv", "/home", "/boot"} {
		at, err := t.on(dir)
		if err != nil {
			continue
		}
		var s unix.Statfs_t
		if unix.Statfs(at, &s) != nil || s.Blocks == 0 || seen[s.Fsid] {
			continue
		}
		seen[s.Fsid] = true
		t.inv.Disks = append(t.inv.Disks, Disk{Path: dir, Free: int64(s.Bavail) * s.Bsize, Size: int64(s.Blocks) * s.Bsize})
	}
}
