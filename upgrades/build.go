package upgrades

import (
	"cmp"
	"strings"

	"aftershock/detector"

	"golang.org/x/mod/semver"
)

// build is what tells one build of a binary from another. An empty field is
// unknown: two sources of build information rarely say equally much.
type build struct {
	Version   string `json:"version,omitempty"`
	Revision  string `json:"revision,omitempty"`
	Toolchain string `json:"toolchain,omitempty"`
}

func buildOf(b detector.Build) build {
	return build{Version: known(b.Version), Revision: known(b.Revision), Toolchain: known(b.Toolchain)}
}

// known drops the words with which programs say that they don't know.
func known(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxText {
		s = s[:maxText]
	}
	s = strings.ToValidUTF8(s, "")
	switch strings.ToLower(s) {
	case "unknown", "(devel)", "(unknown)", "none", "n/a", "<unknown>":
		return ""
	}
	return s
}

func (b build) empty() bool { return b == build{} }

// bare says whether neither version nor revision is known.
func (b build) bare() bool { return b.Version == "" && b.Revision == "" }

// same says whether nothing that both know differs.
func (b build) same(o build) bool {
	return agrees(b.Version, o.Version) && agrees(b.Revision, o.Revision) && agrees(b.Toolchain, o.Toolchain)
}

func agrees(a, b string) bool { return a == "" || b == "" || a == b }

// fill gives b with what only o knows.
func (b build) fill(o build) build {
	return build{cmp.Or(b.Version, o.Version), cmp.Or(b.Revision, o.Revision), cmp.Or(b.Toolchain, o.Toolchain)}
}

// compare orders builds by version, then by the texts: an order that is the
// same everywhere, for when nothing better decides.
func (b build) compare(o build) int {
	return cmp.Or(
		semver.Compare("v"+bareVersion(b.Version), "v"+bareVersion(o.Version)),
		cmp.Compare(b.Version, o.Version),
		cmp.Compare(b.Revision, o.Revision),
		cmp.Compare(b.Toolchain, o.Toolchain),
	)
}

// shortRevision is how much of a revision a name has.
const shortRevision = 12

// names gives what to call two different builds of a binary: their versions,
// and where these are equal what tells the builds apart.
func (b build) names(o build) (from, to string) {
	const short = shortRevision
	switch {
	case !agrees(b.Version, o.Version):
		return b.Version, o.Version
	case !agrees(b.Revision, o.Revision):
		return named(b.Version, clipTo(b.Revision, short)), named(o.Version, clipTo(o.Revision, short))
	default:
		return named(b.Version, b.Toolchain), named(o.Version, o.Toolchain)
	}
}

// toolchainOnly says whether the two builds differ in their compiler alone.
func (b build) toolchainOnly(o build) bool {
	return agrees(b.Version, o.Version) && agrees(b.Revision, o.Revision) && !agrees(b.Toolchain, o.Toolchain)
}

func named(version, detail string) string {
	switch {
	case version == "":
		return detail
	case detail == "":
		return version
	}
	return version + " (" + detail + ")"
}

func clipTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
