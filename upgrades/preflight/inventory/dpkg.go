package inventory

import (
	"bufio"
	"bytes"
	"context"
	"path"
	"slices"
	"strings"
)

// dpkg puts down the packages that dpkg has installed.
func (t *taker) dpkg(context.Context) {
	t.status("/var/lib/dpkg/status")
	for _, e := range t.list("/var/lib/dpkg/status.d") { // images without a package manager
		if !strings.HasSuffix(e.Name(), ".md5sums") && !e.IsDir() {
			t.status(path.Join("/var/lib/dpkg/status.d", e.Name()))
		}
	}
	slices.SortStableFunc(t.inv.Packages, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
}

func (t *taker) status(name string) {
	packages, whole := dpkgStatus(t.read(name))
	if !whole {
		t.note("%s: more than %d packages or a line that is too long, the rest was left out", name, maxPackages)
	}
	t.inv.Packages = append(t.inv.Packages, packages...)
}

// dpkgStatus reads dpkg's status file: the packages that are installed, also those whose
// configuration isn't done. whole is false where a bound ended it.
func dpkgStatus(data []byte) (packages []Package, whole bool) {
	fields := map[string]string{}
	end := func() {
		status := strings.Fields(fields["status"])
		there := len(status) == 3 && status[2] != "not-installed" && status[2] != "config-files" && status[2] != "half-installed"
		if fields["status"] == "" { // of a directory status.d, in which all are installed
			there = true
		}
		if there && fields["package"] != "" {
			packages = append(packages, Package{Name: fields["package"], Version: fields["version"], Source: "dpkg", Provides: provided(fields["provides"])})
		}
		clear(fields)
	}
	s := bufio.NewScanner(bytes.NewReader(data))
	s.Buffer(nil, 4<<20)
	for s.Scan() && len(packages) < maxPackages {
		line := s.Text()
		switch {
		case strings.TrimSpace(line) == "":
			end()
		case line[0] == ' ' || line[0] == '\t':
			// None of the fields that are read goes on.
		default:
			name, value, ok := strings.Cut(line, ":")
			switch name = strings.ToLower(name); name {
			case "package", "status", "version", "provides":
				if ok {
					fields[name] = strings.TrimSpace(value)
				}
			}
		}
	}
	end()
	return packages, s.Err() == nil && len(packages) < maxPackages
}

// provided are the names in a field Provides, with their versions.
func provided(field string) []string {
	const most = 500
	var names []string
	for part := range strings.SplitSeq(field, ",") {
		name, v, _ := strings.Cut(strings.TrimSpace(part), "(")
		name, _, _ = strings.Cut(strings.TrimSpace(name), ":")
		if name == "" || len(names) >= most {
			continue
		}
		if v = strings.Trim(v, " =)"); v != "" {
			name += " (= " + v + ")"
		}
		names = append(names, name)
	}
	return names
}
