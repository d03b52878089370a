package flagdfile

import (
	"fmt"
	"os"
	"syscall"
)

func ownerOf(info os.FileInfo) string {
	s, _ := info.Sys().(*syscall.Stat_t)
	return fmt.Sprint(s.Uid, ":", s.Gid)
}
