package inside

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// maxFiles is how many files of a directory are compared.
const maxFiles = 10_000

// Pair is two files to compare.
type Pair struct{ Name, Old, New string }

// Pairs says which files are to be compared: two files with one another, two
// directories by their files' paths within, and where versions are part of the
// names, by what remains. Files without a partner are told by path.
func Pairs(old, new string) (pairs []Pair, onlyOld, onlyNew []string, err error) {
	o, err := os.Stat(old)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w: name a file that can be read", old, unwrapPath(err))
	}
	n, err := os.Stat(new)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w: name a file that can be read", new, unwrapPath(err))
	}
	for _, f := range []struct {
		path string
		info os.FileInfo
	}{{old, o}, {new, n}} {
		if !f.info.IsDir() && !f.info.Mode().IsRegular() {
			return nil, nil, nil, irregular(f.path)
		}
	}
	switch {
	case !o.IsDir() && !n.IsDir():
		return []Pair{{unversioned(filepath.Base(new)), old, new}}, nil, nil, nil
	case o.IsDir() != n.IsDir():
		return nil, nil, nil, fmt.Errorf("%s: it is a directory and the other is not: name two files or two directories", map[bool]string{true: old, false: new}[o.IsDir()])
	}
	olds, err := files(old)
	if err != nil {
		return nil, nil, nil, err
	}
	news, err := files(new)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(olds)+len(news) == 0 {
		return nil, nil, nil, fmt.Errorf("%s: neither it nor %s has a file that could be compared: name directories of binaries", old, new)
	}
	pairs, onlyOld, onlyNew = match(olds, news)
	for i := range pairs {
		pairs[i].Old, pairs[i].New = filepath.Join(old, pairs[i].Old), filepath.Join(new, pairs[i].New)
	}
	return pairs, onlyOld, onlyNew, nil
}

// files are the regular files below a directory, which may be named by a link. Links
// below it are not followed.
func files(dir string) (list []string, err error) {
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, fmt.Errorf("%s: %w: name a directory that can be read", dir, unwrapPath(err))
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w: make it readable", path, unwrapPath(err))
		}
		if !d.Type().IsRegular() {
			return nil
		}
		if len(list) == maxFiles {
			return fmt.Errorf("%s: it has more than %d files: compare smaller directories", dir, maxFiles)
		}
		rel, err := filepath.Rel(dir, path)
		list = append(list, rel)
		return err
	})
	return list, err
}

// version matches a version within a file's name: foo-1.2.0, foo_v2.jar.
var version = regexp.MustCompile(`[-_.]v?\d+(\.\d+)*([-.+](?:rc|alpha|beta|SNAPSHOT|RELEASE|Final|GA)[.\d]*)?`)

// unversioned is a name without its version.
func unversioned(name string) string {
	if s := version.ReplaceAllString(name, ""); s != "" && s[0] != '.' {
		return s
	}
	return name
}

// match pairs paths by themselves, then without versions.
func match(olds, news []string) (pairs []Pair, onlyOld, onlyNew []string) {
	byPath, byName := map[string]bool{}, map[string][]string{}
	for _, n := range news {
		byPath[n] = true
	}
	var rest []string
	for _, o := range olds {
		if byPath[o] {
			pairs = append(pairs, Pair{o, o, o})
			delete(byPath, o)
			continue
		}
		rest = append(rest, o)
	}
	for _, n := range news {
		if byPath[n] {
			byName[unversioned(n)] = append(byName[unversioned(n)], n)
		}
	}
	for _, o := range rest {
		name := unversioned(o)
		if l := byName[name]; len(l) > 0 {
			pairs = append(pairs, Pair{name, o, l[0]})
			byName[name] = l[1:]
			continue
		}
		onlyOld = append(onlyOld, o)
	}
	for _, l := range byName {
		onlyNew = append(onlyNew, l...)
	}
	slices.Sort(onlyNew)
	slices.SortFunc(pairs, func(a, b Pair) int { return cmp.Compare(a.Name, b.Name) })
	return pairs, onlyOld, onlyNew
}
