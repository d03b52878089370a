package settings

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"aftershock/upgrades/inside"
)

// maxMined is how many names are drafted of one binary, came and went each.
const maxMined = 1_000

var (
	envLike = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)
	dotted  = regexp.MustCompile(`^[a-z][a-z0-9]*([-_][a-z0-9]+)*(\.[a-z][a-z0-9]*([-_][a-z0-9]+)*)+$`)
	// noSetting matches names that look like settings and are others: files, hosts,
	// packages, headers.
	noSetting = regexp.MustCompile(`\.(?:go|mod|sum|work|s|c|h|so|js|css|html?|json|ya?ml|toml|txt|md|com|org|net|io|dev|local|proto|pem|crt|key|tmpl|sql|sock|pid|log)$|^(?:content|accept|x|user|if|access|cache|transfer|set|www|proxy)-`)
)

// Mine drafts a matrix from what came and went between two builds of a binary: names of
// environment variables, of keys, and of struct tags. Version is that of the new build.
// The rows are drafts, each with how sure it is; somebody has to look through them.
func Mine(d inside.Difference, version string) Matrix {
	var m Matrix
	for _, side := range []struct {
		names, texts []string
		went         bool
	}{{d.Configuration.Removed, d.Strings.Removed, true}, {d.Configuration.Added, d.Strings.Added, false}} {
		n := 0
		for _, name := range side.names {
			confidence, ok := confidence(name, slices.Contains(side.texts, name))
			if !ok {
				continue
			}
			if n++; n > maxMined {
				break
			}
			r := Row{Component: d.Name, Key: strings.TrimLeft(name, "-"), Draft: true, Confidence: confidence}
			if side.went {
				r.RemovedIn = version
			} else {
				r.IntroducedIn = version
			}
			m.Rows = append(m.Rows, r)
		}
	}
	return m
}

// confidence says how sure it is that a name is a setting, and whether it may be one.
func confidence(name string, text bool) (string, bool) {
	switch {
	case noSetting.MatchString(name):
		return "", false
	case !text:
		return "medium: the tag of a struct, of configuration or of messages", true
	case envLike.MatchString(name):
		return "medium: a text in the form of an environment variable", true
	case strings.HasPrefix(name, "-"):
		return "medium: a text in the form of a flag", true
	case dotted.MatchString(name):
		return "medium: a text in the form of a dotted key", true
	}
	return "low: a text with dashes or underscores", true
}

// Write writes the matrix as YAML that ReadMatrix reads.
func (m Matrix) Write(w io.Writer) error {
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if m.Rows == nil {
		m.Rows = []Row{}
	}
	if err := e.Encode(m); err != nil {
		return fmt.Errorf("write configuration matrix: %w", err)
	}
	return e.Close()
}
