package advisories

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"aftershock/upgrades/inside"
)

// maxSBOM is the size of the largest list of components that is read.
const maxSBOM = 128 << 20

var (
	goVersion = regexp.MustCompile(`^v\d+\.\d+\.\d+`)
	toolchain = regexp.MustCompile(`^go(\d+\.\d+(?:\.\d+)?)(?:(rc|beta)(\d+))?`)
)

// Components are those of a binary's fingerprint: Go modules with Go's library, its
// toolchain and the main module, Maven modules of a JAR, and of JARs within it the artifacts that their
// names tell. File is its path within the package. What has no
// version, and modules replaced by a directory, are left out. For a list of components
// (SBOM), use ReadSBOM.
func Components(file string, p inside.Fingerprint) []Component {
	var list []Component
	switch p.Form {
	case inside.FormGo:
		linked := linkedInto(p)
		add := func(name, version, as string) {
			if version != "" {
				list = append(list, Component{Ecosystem: "Go", Name: name, Version: version, File: file, linked: linked, as: as})
			}
		}
		if m := toolchain.FindStringSubmatch(p.Toolchain); m != nil {
			version := m[1]
			if strings.Count(version, ".") == 1 {
				version += ".0"
			}
			if m[2] != "" {
				version += "-" + m[2] + "." + m[3]
			}
			add("stdlib", version, "")
			add("toolchain", version, "")
		}
		if goVersion.MatchString(p.Version) {
			add(p.Main, p.Version, "")
		}
		for name, version := range p.Modules {
			if _, by, ok := strings.Cut(version, " => "); ok || strings.HasPrefix(version, "=>") {
				by = strings.TrimSpace(strings.TrimPrefix(by, "=> "))
				path, v, _ := strings.Cut(by, " ")
				if goVersion.MatchString(v) {
					add(path, v, name)
				}
				continue
			}
			add(name, version, "")
		}
	case inside.FormJAR:
		for name, version := range p.Modules {
			if strings.Contains(name, ":") && version != "" || version != "" && version[0] >= '0' && version[0] <= '9' {
				list = append(list, Component{Ecosystem: "Maven", Name: name, Version: version, File: file})
			}
		}
	}
	slices.SortFunc(list, func(a, b Component) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// sbom is CycloneDX (1.x) or SPDX (2.x), as far as it is read.
type sbom struct {
	Format     string `json:"bomFormat"`
	SPDX       string `json:"spdxVersion"`
	Components []part `json:"components"`
	Packages   []struct {
		References []struct {
			Type    string `json:"referenceType"`
			Locator string `json:"referenceLocator"`
		} `json:"externalRefs"`
	} `json:"packages"`
}

type part struct {
	Purl       string `json:"purl"`
	Components []part `json:"components"`
}

// ReadSBOM gives the components of CycloneDX or SPDX in JSON that have a package URL
// with a version. File is its path within the package.
func ReadSBOM(file string, r io.Reader) ([]Component, error) {
	var s sbom
	if err := json.NewDecoder(io.LimitReader(r, maxSBOM)).Decode(&s); err != nil {
		return nil, errors.New("read list of components: it is no valid JSON")
	}
	if s.Format != "CycloneDX" && s.SPDX == "" {
		return nil, errors.New("read list of components: it is neither CycloneDX nor SPDX")
	}
	var list []Component
	add := func(purl string) {
		if k, ok := parsePurl(purl); ok && k.Version != "" {
			k.File = file
			list = append(list, k)
		}
	}
	var walk func([]part)
	walk = func(parts []part) {
		for _, p := range parts {
			add(p.Purl)
			walk(p.Components)
		}
	}
	walk(s.Components)
	for _, p := range s.Packages {
		for _, ref := range p.References {
			if ref.Type == "purl" {
				add(ref.Locator)
			}
		}
	}
	return list, nil
}
