package scripts

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"aftershock/detector"
	"aftershock/upgrades/preflight/linter"

	"mvdan.cc/sh/v3/syntax"
)

// shellcheckAll is how long shellcheck has for the scripts of a package.
const shellcheckAll = time.Minute

// comment is what shellcheck -f json answers for each of its findings.
type comment struct {
	Line    int    `json:"line"`
	Level   string `json:"level"`
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// shellcheck asks the program about each shell script, by its standard input. It follows no
// sourced files and reads no settings of whoever runs the inspection. What the package only
// installs isn't asked about.
func (c *checker) shellcheck(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, shellcheckAll)
	defer cancel()
	for _, s := range c.shells {
		if c.installed(s.Path) {
			continue
		}
		named, _ := language(firstLine(s.Text))
		lang := map[syntax.LangVariant]string{syntax.LangPOSIX: "sh", syntax.LangMirBSDKorn: "ksh"}[named]
		if lang == "" {
			lang = "bash"
		}
		if err := c.ask(ctx, s.Path, lang, s.Text); err != nil {
			c.findings = append(c.findings, detector.Finding{
				Rule: "scripts/shellcheck", Severity: detector.Note, Place: detector.Place{File: s.Path},
				What: "shellcheck gave no findings: " + clip(err.Error(), 120), Why: "what it would have found isn't known",
				Do: "run shellcheck on the script by hand",
			})
			return
		}
	}
}

func (c *checker) ask(ctx context.Context, file, lang string, text []byte) error {
	out, err := linter.Ask(ctx, c.host.Shellcheck, []string{"--norc", "-f", "json", "-s", lang, "-"}, text)
	if err != nil {
		return err
	}
	var comments []comment
	if err := json.Unmarshal(out, &comments); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.host.Shellcheck, err)
	}
	for i, m := range comments {
		if i == linter.Told {
			break
		}
		f := detector.Finding{
			Rule: "scripts/shellcheck", Severity: detector.Note, Place: detector.Place{File: file, Line: m.Line},
			What: fmt.Sprintf("SC%04d: %s", m.Code, clip(m.Message, 200)), Why: "shellcheck holds it for " + map[bool]string{true: "an error", false: "a " + m.Level}[m.Level == "error"],
			Do: fmt.Sprintf("see https://www.shellcheck.net/wiki/SC%04d", m.Code),
		}
		if m.Level == "error" && m.Code < 2000 { // the shell reads it otherwise than it stands; from there on it is how it is written
			f.Severity = detector.Risk
		}
		c.findings = append(c.findings, f)
	}
	return nil
}
