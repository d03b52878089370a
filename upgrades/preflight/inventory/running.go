package inventory

import (
	"debug/buildinfo"
	"fmt"
	"os"
)

// maxVersions is how many different programs are asked for their version.
const maxVersions = 500

// version is the version of a process's program, "" where it doesn't say: Go programs alone
// say it where everybody can read it.
func (t *taker) version(p Process, known map[string]string) string {
	at, err := t.on(p.Exe)
	if p.Deleted {
		at = fmt.Sprintf("/proc/%d/exe", p.PID) // opens what runs, though it has no name
	}
	if err != nil || p.Deleted && t.root != "/" {
		return ""
	}
	if v, ok := known[at]; ok {
		return v
	}
	if len(known) >= maxVersions {
		return ""
	}
	v := programVersion(at)
	known[at] = v
	return v
}

func programVersion(at string) string {
	info, err := os.Stat(at)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	build, err := buildinfo.ReadFile(at)
	if err != nil || unknown(build.Main.Version) {
		return ""
	}
	return build.Main.Version
}
