package archive

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"aftershock/detector"
)

// named gives the path of an entry below the package's root, and false where the name
// can't be one: then it is told, and nothing is written.
func (u *unpacker) named(prefix string, e entry) (string, bool) {
	raw := e.name
	shown := prefix + clip(raw)
	bad := func(what string) (string, bool) {
		u.find("archive/path", detector.Blocker, shown, what,
			"unpacked by a careless tool it writes outside the package's directory, over files of the system", "don't unpack the package; ask the vendor for one without such names")
		return "", false
	}
	switch {
	case raw == "" || len(raw) > maxName:
		return bad("a name that is empty or too long")
	case !utf8.ValidString(raw) || strings.ContainsFunc(raw, hidden):
		return bad("a name with characters that aren't seen")
	case strings.Contains(raw, "\\"):
		return bad("a name with backslashes, which some systems take for directories")
	case strings.HasPrefix(raw, "/"):
		return bad("an absolute name")
	case len(raw) > 1 && raw[1] == ':' && unicode.IsLetter(rune(raw[0])):
		return bad("a name with a drive")
	}
	for part := range strings.SplitSeq(raw, "/") {
		if part == ".." {
			return bad("a name that leaves the package's directory")
		}
	}
	name := path.Clean(raw)
	if name == "." {
		return "", false // the root itself
	}
	if strings.Count(name, "/") > maxParts {
		return bad("a name in too many directories")
	}
	if !fs.ValidPath(name) || strings.Contains(name, "!/") {
		return bad("a name that can't be one here")
	}
	return prefix + name, true
}

func hidden(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// clip is the beginning of a text that came from the package, as it may be shown.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || hidden(r) {
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	if r := []rune(s); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return s
}

// free notes a file or link and says whether its path is free: the second of two is told,
// and not written, and so is what would be written through a link.
func (u *unpacker) free(name string, kind byte) bool {
	twice := func(what string) bool {
		u.find("archive/duplicate", detector.Blocker, name, what,
			"which of the two is installed depends on the tool that unpacks it, so that what was inspected needn't be what runs", "ask the vendor for a package in which each file is once")
		return false
	}
	switch u.kinds[name] {
	case 'f':
		return twice("the archive has this file twice")
	case 'd':
		return twice("it is a file or link here and a directory elsewhere in the archive")
	case 'l':
		return twice("the archive has this path twice, once as a link")
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		switch u.kinds[dir] {
		case 'f':
			return twice(fmt.Sprintf("its directory %s is a file elsewhere in the archive", clip(dir)))
		case 'l':
			return twice(fmt.Sprintf("its directory %s is a link elsewhere in the archive, so that it is written where the link leads", clip(dir)))
		}
		u.kinds[dir] = 'd'
	}
	u.kinds[name] = kind
	lower := strings.ToLower(name)
	if other, ok := u.folded[lower]; ok && other != name {
		u.find("archive/case", detector.Note, name, "it differs from "+clip(other)+" in case alone", "on a file system that doesn't tell the two apart one overwrites the other", "rename one of the two")
	}
	u.folded[lower] = name
	return true
}

func (u *unpacker) directory(name string) {
	if k := u.kinds[name]; k == 'f' || k == 'l' {
		u.free(name, 'd')
		return
	}
	u.kinds[name] = 'd'
}

// linked tells of a link that leads out of the package. Packages of distributions are
// unpacked at the root of the system, where absolute links are the rule.
func (u *unpacker) linked(prefix, name string, e entry) {
	system := u.p.Form == FormDeb || u.p.Form == FormRPM
	target, within := e.link, strings.TrimPrefix(name, prefix)
	out := strings.HasPrefix(target, "/") && !system
	if !strings.HasPrefix(target, "/") {
		base := path.Dir(within)
		if e.hard {
			base = "."
		}
		joined := path.Join(base, target)
		out = joined == ".." || strings.HasPrefix(joined, "../")
	}
	if out || strings.ContainsFunc(target, hidden) {
		u.find("archive/link", detector.Blocker, name, "a link that leads out of the package, to "+clip(target),
			"what is unpacked after it through the link is written there, over files of the system", "don't unpack the package; ask the vendor for one without such links")
	}
}

// climbing tells of links that lead out of the package by way of another link: a/b -> .. and
// c -> a/b/.. each look as if they stayed within.
func (u *unpacker) climbing() {
	links := map[string]string{}
	for _, f := range u.p.Files {
		if f.Mode&fs.ModeSymlink != 0 {
			links[f.Path] = f.Link
		}
	}
	for _, f := range u.p.Files {
		prefix := f.Path[:strings.LastIndex(f.Path, "!/")+1]
		if prefix != "" {
			prefix += "/"
		}
		within := strings.TrimPrefix(f.Path, prefix)
		if f.Link == "" || strings.HasPrefix(f.Link, "/") || !strings.Contains(f.Link, "..") || strings.HasPrefix(path.Join(path.Dir(within), f.Link), "..") || !climbs(links, prefix, within) {
			continue
		}
		u.find("archive/link", detector.Blocker, f.Path, "a link that leads out of the package by way of another link, to "+clip(f.Link),
			"what is unpacked after it through the link is written there, over files of the system", "don't unpack the package; ask the vendor for one without such links")
	}
}

// Contents tell at which path of the package each file's content lies: of a link, that of the file in
// the package which it leads to by its name. Links that lead elsewhere are left out.
func (p *Package) Contents() map[string]string {
	files, links := make(map[string]string, len(p.Files)), map[string]string{}
	for _, f := range p.Files {
		if f.Link == "" {
			files[f.Path] = f.Path
			continue
		}
		prefix, base := "", path.Dir(f.Path)
		if n := strings.LastIndex(f.Path, "!/"); n >= 0 {
			prefix = f.Path[:n+2]
		}
		if f.Mode&fs.ModeSymlink == 0 { // a hard one counts from the root
			base = prefix
		}
		if strings.HasPrefix(f.Link, "/") {
			base = prefix
		}
		if to := path.Join(base, f.Link); strings.HasPrefix(to, prefix) && to != f.Path {
			links[f.Path] = to
		}
	}
	for from, to := range links {
		for hops := 0; hops < maxHops && links[to] != ""; hops++ {
			to = links[to]
		}
		if _, ok := files[to]; ok && links[to] == "" {
			files[from] = to
		}
	}
	return files
}

// maxHops bounds how many links are followed, as the kernel does (path_resolution(7)).
const maxHops = 40

// climbs follows a link by name alone, through links of the package, and says whether it goes above the
// root.
func climbs(links map[string]string, prefix, link string) bool {
	var at []string
	todo, hops := strings.Split(link, "/"), 0
	for len(todo) > 0 && len(todo) < maxName {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return true
			}
			at = at[:len(at)-1]
			continue
		}
		at = append(at, part)
		target, ok := links[prefix+strings.Join(at, "/")]
		if !ok {
			continue
		}
		if hops++; hops > maxHops || strings.HasPrefix(target, "/") { // no end; or told by itself
			return false
		}
		at = at[:len(at)-1]
		todo = append(strings.Split(target, "/"), todo...)
	}
	return false
}

// permissions tells of what may be done with a file once it is unpacked.
func (u *unpacker) permissions(name string, e entry) {
	if e.mode&fs.ModeSymlink != 0 || e.link != "" {
		return
	}
	if e.mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 && !e.mode.IsDir() {
		u.find("archive/setuid", detector.Risk, name, "it runs with the rights of its owner or group (setuid, setgid)", "whoever may start it becomes that user: a fault in it is a way to root", "ask the vendor why; without need, chmod ug-s it after unpacking")
	}
	if e.mode.Perm()&0o002 != 0 && e.mode.IsRegular() && e.mode.Perm() != 0o777 && e.mode.Perm() != 0o666 {
		u.find("archive/writable", detector.Note, name, fmt.Sprintf("everybody may write it (%04o)", e.mode.Perm()), "whoever is on the host may change what runs", "chmod o-w it after unpacking")
	}
}

// epoch is the first date that zip and FAT know.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// dated tells of dates that can't be.
func (u *unpacker) dated(name string, t time.Time) {
	switch {
	case t.IsZero() || t.Unix() == 0: // builds that are reproducible have no date
	case t.After(u.now.Add(26 * time.Hour)): // zip has no time zone
		u.find("archive/future", detector.Risk, name, "it is dated "+t.Format(time.DateOnly)+", in the future", "the clock of the machine that built it was wrong, or the date was set: neither tells when it was built", "ask the vendor when and where it was built")
	case t.Before(epoch) && t.Unix() > 1:
		u.find("archive/ancient", detector.Note, name, "it is dated "+t.Format(time.DateOnly)+", before 1980", "no date of a build; tools that compare dates take it for old", "go by digests")
	}
}

// muchOlder is by how much a binary may be older than the package says.
const muchOlder = 180 * 24 * time.Hour

// Ages tells of the binaries that are much older than the package claims to be; a claim
// that is zero tells of none.
func Ages(files []File, claimed time.Time) (out []detector.Finding) {
	if claimed.IsZero() {
		return nil
	}
	for _, f := range files {
		binary := f.Kind == "elf" || f.Kind == "pe" || f.Kind == "macho" || f.Kind == "jar"
		if !binary || f.ModTime.Before(epoch.Add(24*time.Hour)) || claimed.Sub(f.ModTime) < muchOlder {
			continue
		}
		out = append(out, detector.Finding{
			Rule: "archive/old-binary", Severity: detector.Risk, Place: detector.Place{File: f.Path},
			What: fmt.Sprintf("the binary is dated %s, and the package says it was built %s", f.ModTime.Format(time.DateOnly), claimed.Format(time.DateOnly)),
			Why:  "a build of long ago lacks the fixes that the release notes name, or the package was put together from what lay about",
			Do:   "compare its version with the release notes (aftershock diff OLD NEW); ask the vendor which build belongs in it",
		})
	}
	return out
}
