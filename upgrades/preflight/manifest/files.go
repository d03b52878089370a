package manifest

import (
	"fmt"
	"strings"

	"aftershock/detector"
)

// maxTold is how many findings of one rule over files are told one by one.
const maxTold = 50

// files holds the named files to those in the package.
func (k *check) files() {
	if k.facts.Contents == nil {
		return
	}
	there := map[string]Content{}
	for _, c := range k.facts.Contents {
		there[c.Path] = c
	}
	named := map[string]bool{k.m.File: true}
	told := 0
	say := func(rule, severity string, line int, what, why, do string) {
		if told++; told <= maxTold {
			k.add(rule, severity, line, what, why, do)
		}
	}
	for _, f := range k.m.Files {
		at, ok := k.m.within(f.Path)
		if f.Path == "" || !ok {
			say("file-outside", detector.Risk, f.Line, fmt.Sprintf("the manifest names %q, which is no path within the package", f.Path),
				"It may be meant to be put over a file of the host.", "Ask the vendor what is meant; don't let an installer follow it.")
			continue
		}
		named[at] = true
		c, ok := there[at]
		if !ok {
			say("file-missing", detector.Blocker, f.Line, fmt.Sprintf("%s, which the manifest names, isn't in the package", f.Path),
				"The package isn't whole: it was cut off, or made wrongly.", "Fetch it again; if it is still missing, ask the vendor for a whole package.")
			continue
		}
		k.differs(f, c, say)
	}
	for _, b := range k.m.Binaries {
		at, ok := k.m.within(b.Path)
		if b.Path == "" || !ok || named[at] {
			continue
		}
		if _, ok := there[at]; !ok {
			named[at] = true
			say("file-missing", detector.Blocker, b.Line, fmt.Sprintf("the binary %s, which the manifest names, isn't in the package", b.Path),
				"The package isn't whole: it was cut off, or made wrongly.", "Fetch it again; if it is still missing, ask the vendor for a whole package.")
		}
	}
	if told > maxTold {
		k.add("files-more", detector.Risk, 0, fmt.Sprintf("%d more named files are missing or differ", told-maxTold), "The package and its manifest aren't of one making.", "Ask the vendor for a package that agrees with its manifest.")
	}
	k.unnamed(named)
}

// differs compares one file with what the manifest says of it.
func (k *check) differs(f Named, c Content, say func(rule, severity string, line int, what, why, do string)) {
	const why = "It isn't the file that the manifest was made for: it was changed afterwards, by mistake or on purpose."
	const do = "Don't install it. Ask the vendor by a second channel for the right digest, and fetch the package again."
	if f.Size != nil && *f.Size != c.Size {
		say("file-differs", detector.Blocker, f.Line, fmt.Sprintf("%s has %d bytes, the manifest says %d", f.Path, c.Size, *f.Size), why, do)
		return
	}
	want := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(f.SHA256)), "sha256:")
	switch {
	case want == "":
	case len(want) != 64 || strings.Trim(want, "0123456789abcdef") != "":
		say("digest-unreadable", detector.Risk, f.Line, fmt.Sprintf("the digest of %s is no SHA-256", f.Path),
			"The file was held to nothing.", "Ask the vendor for the SHA-256 of the file, 64 hexadecimal digits.")
	case c.SHA256 != "" && c.SHA256 != want:
		say("file-differs", detector.Blocker, f.Line, fmt.Sprintf("%s has the SHA-256 %s, the manifest says %s", f.Path, short(c.SHA256), short(want)), why, do)
	}
}

func short(digest string) string { return digest[:min(12, len(digest))] + "…" }

// unnamed tells what else is in the package.
func (k *check) unnamed(named map[string]bool) {
	if len(k.m.Files) == 0 {
		k.add("files-unnamed", detector.Note, 0, "the manifest names no files", "Whether the package is whole and unchanged can't be told by it.", "Ask the vendor for a list of files with their SHA-256.")
		return
	}
	told := 0
	for _, c := range k.facts.Contents {
		if named[c.Path] || signs(c.Path) {
			continue
		}
		if told++; told > maxTold {
			continue
		}
		k.findings = append(k.findings, detector.Finding{
			Rule: "manifest/file-unnamed", Severity: detector.Risk, Place: detector.Place{File: c.Path},
			What: fmt.Sprintf("%s isn't named by the manifest", c.Path),
			Why:  "Nobody vouches for it: it was forgotten in the manifest, left over from another release, or put there by somebody else.",
			Do:   "Ask the vendor what it is for; leave it out until that is known.",
		})
	}
	if told > maxTold {
		k.add("files-more", detector.Risk, 0, fmt.Sprintf("%d more files aren't named by the manifest", told-maxTold), "Nobody vouches for them.", "Ask the vendor for a manifest that names all files.")
	}
}
