package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMembers: dpkg takes three members; what else there is, and what is there twice, is told.
func TestMembers(t *testing.T) {
	empty := func(name string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, ModTime: built, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	member := func(name string, data []byte) []byte {
		return slices.Concat(fmt.Appendf(nil, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", len(data)), data, bytes.Repeat([]byte("\n"), len(data)%2))
	}
	deb := slices.Concat([]byte("!<arch>\n"), member("debian-binary", []byte("2.0\n")), member("control.tar", empty("control")), member("data.tar", empty("app")))
	for _, tt := range []struct {
		name string
		add  []byte
		want []string
	}{
		{"plain", nil, nil},
		{"signed", slices.Concat(member("_gpgorigin", []byte("x")), member("_gpgbuilder", []byte("x"))), nil},
		{"signed twice", slices.Concat(member("_gpgorigin", []byte("x")), member("_gpgorigin", []byte("x"))), []string{"risk archive/member "}},
		{"no signature", member("_gpgorigin", make([]byte, maxSigned+1)), []string{"risk archive/member "}},
		{"of somebody's own", slices.Concat(member("_extra", []byte("x")), member("more.tar", []byte("x"))), []string{"risk archive/member ", "risk archive/member "}},
		{"data twice", member("data.tar.xz", empty("other")), []string{"blocker archive/duplicate "}},
		{"control twice", member("control.tar", empty("other")), []string{"blocker archive/duplicate "}},
		{"and text behind", []byte(strings.Repeat("x", 60)), []string{"blocker archive/damaged "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, rules(open(t, slices.Concat(deb, tt.add), DefaultLimits))); d != "" {
				t.Error(d)
			}
		})
	}
}
