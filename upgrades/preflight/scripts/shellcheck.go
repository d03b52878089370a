package scripts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"aftershock/detector"

	"mvdan.cc/sh/v3/syntax"
)

// Bounds of asking shellcheck.
const (
	shellcheckTime   = 20 * time.Second // for one script
	shellcheckAll    = time.Minute      // for those of a package
	shellcheckMemory = 512 << 20        // bytes of its data
	shellcheckOutput = 4 << 20          // bytes of one answer
	shellcheckTold   = 50               // findings of one script
)

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
	ctx, cancel := context.WithTimeout(ctx, shellcheckTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.host.Shellcheck, "--norc", "-f", "json", "-s", lang, "-")
	cmd.Stdin = bytes.NewReader(text)
	cmd.WaitDelay = time.Second
	out := &bounded{most: shellcheckOutput}
	cmd.Stdout = out
	err := cmd.Start()
	if err == nil {
		confine(cmd.Process.Pid)
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1: it found something
		return fmt.Errorf("run %s: %w", c.host.Shellcheck, err)
	}
	var comments []comment
	if err := json.Unmarshal(out.Bytes(), &comments); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.host.Shellcheck, err)
	}
	for i, m := range comments {
		if i == shellcheckTold {
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

// bounded is a buffer that refuses what is too much.
type bounded struct {
	bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		return 0, fmt.Errorf("more than %d bytes of output", b.most)
	}
	return b.Buffer.Write(p)
}
