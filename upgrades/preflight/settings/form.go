package settings

import (
	"path"
	"strings"
)

// form is how a file is read.
type form int

const (
	formNone form = iota
	formYAML
	formJSON
	formTOML
	formINI
	formProperties
	formEnv
	formUnit
	formConf // one of INI, properties and something else, by its text
)

// formOf tells a file's form by its path.
func formOf(name string) form {
	base := strings.ToLower(path.Base(name))
	dir := strings.ToLower(path.Base(path.Dir(name)))
	switch {
	case strings.HasSuffix(dir, ".d") && isUnit(strings.TrimSuffix(dir, ".d")) && strings.HasSuffix(base, ".conf"), isUnit(base):
		return formUnit
	case base == ".env" || base == "env" || strings.HasPrefix(base, ".env.") || strings.HasSuffix(base, ".env") || base == "environment" ||
		(dir == "default" || dir == "sysconfig") && !strings.Contains(base, "."):
		return formEnv
	}
	switch path.Ext(base) {
	case ".yaml", ".yml":
		return formYAML
	case ".json", ".jsonc", ".json5", ".hujson":
		return formJSON
	case ".toml":
		return formTOML
	case ".ini":
		return formINI
	case ".properties":
		return formProperties
	case ".conf", ".cfg", ".config", ".cnf":
		return formConf
	}
	return formNone
}

func isUnit(name string) bool {
	switch path.Ext(name) {
	case ".service", ".socket", ".timer", ".mount", ".slice", ".scope":
		return true
	}
	return false
}

// reading is one file, or a file within it, while it is read.
type reading struct {
	live *Live
	// name is the path below the root, file the one that is told.
	name, file        string
	within, component string
	// offset is how many lines stand before it in the file; whole says that all of it
	// stands on one line of the file, offset+1.
	offset int
	whole  bool
	// nested says that it is a file within another, hidden that all of it is secret.
	nested, hidden bool
	work           int
}

func (r *reading) add(line int, key, value string) {
	key = Plain(strings.TrimSpace(key))
	if key == "" || len(key) > maxKey || len(value) > maxValue || strings.Count(key, ".")+strings.Count(key, "_")+strings.Count(key, "-") > maxParts {
		return
	}
	if r.live.values += len(value); len(r.live.Uses) >= maxUses || r.live.values > maxValues {
		r.live.stop("there are more settings than are read")
		return
	}
	if r.whole {
		line = 1
	}
	r.live.Uses = append(r.live.Uses, Use{
		File: r.file, Line: max(1, r.offset+line), Key: key, Within: r.within, Component: r.component, value: value, hidden: r.hidden,
	})
}

func (r *reading) unread(line int, why string) {
	if r.whole {
		line = 1
	}
	if line > 0 {
		line += r.offset
	}
	r.live.unread(r.name, line, why)
}

// parse reads text of a form and says whether it was read as configuration.
func (r *reading) parse(f form, text string) bool {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	switch f {
	case formYAML:
		return r.yaml(text)
	case formJSON:
		return r.json(text)
	case formTOML:
		return r.toml(text)
	case formINI:
		r.ini(text)
	case formProperties:
		r.properties(text)
	case formEnv:
		r.env(text)
	case formUnit:
		r.unit(text)
	case formConf:
		return r.conf(text)
	default:
		return false
	}
	return true
}

// embedded reads a text that stands in another file under a file's name, from the
// line after offset on.
func (r *reading) embedded(name, text string, offset int, whole bool) bool {
	f := formOf(name)
	if r.nested || f == formNone || len(text) > maxFileBytes {
		return false
	}
	in := reading{live: r.live, name: r.name, file: r.file, within: name, component: r.component, offset: offset, whole: whole, nested: true, hidden: r.hidden}
	return in.parse(f, text)
}
