//go:build !unix

package files

import "os"

// look tells a file's state; ok is false while there is none.
func look(path string) (s stat, ok bool) {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return stat{}, false
	}
	return stat{Size: st.Size(), Modified: st.ModTime().UTC()}, true
}

// lowly runs f.
func lowly(f func()) { f() }

// replaced is the file of a process that still runs what was at the path before:
// there is no way to it here.
func replaced(string) (exe string, ok bool) { return "", false }
