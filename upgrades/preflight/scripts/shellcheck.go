package scripts

import (
	"context"
	"encoding/json"
	"fmt"

	"aftershock/detector"
	"aftershock/upgrades/preflight/linter"

	"mvdan.cc/sh/v3/syntax"
)

// comment is what shellcheck -f json answers for each of its findings.
type comment struct {
	Line    int    `json:"line"`
	Level   string `json:"level"`
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// shellcheck asks the program about each shell script, by its standard input. It follows no
// sourced files and reads no settings of whoever runs the inspection.
func (c *checker) shellcheck(ctx context.Context, all []Script) {
	texts := map[string][]byte{}
	for _, s := range all {
		texts[s.Path] = s.Text
	}
	for _, s := range c.shells {
		lang := map[syntax.LangVariant]string{syntax.LangPOSIX: "sh", syntax.LangMirBSDKorn: "ksh"}[s.lang]
		if lang == "" {
			lang = "bash"
		}
		if err := c.ask(ctx, s.path, lang, texts[s.path]); err != nil {
			c.findings = append(c.findings, detector.Finding{
				Rule: "scripts/shellcheck", Severity: detector.Note, Place: detector.Place{File: s.path},
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
		if m.Level == "error" {
			f.Severity = detector.Risk
		}
		c.findings = append(c.findings, f)
	}
	return nil
}
