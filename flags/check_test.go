package flags

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aftershock/flags/policy"
)

func TestCheckNamesWhatWouldGoWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "flags.json")
	text := `{"flags": {"backoff": {"state": "ENABLED", "variants": {"old": 1, "new": 2}, "defaultVariant": "new"}}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"good":            {Config{Definitions: file, Gates: []Gate{{Flag: "backoff", Binary: "bin", Safe: "old"}}}, ""},
		"none":            {Config{Gates: []Gate{{Flag: "backoff", Binary: "bin", Safe: "old"}}}, ""},
		"no file":         {Config{Definitions: file + "x"}, "flags.definitions: "},
		"unknown flag":    {Config{Definitions: file, Gates: []Gate{{Flag: "backof", Binary: "bin", Safe: "old"}}}, "flags.gates[0].flag: "},
		"policy of none":  {Config{Definitions: file, Policy: policy.Config{Flags: map[string]policy.Rule{"backof": {Approval: "two"}}}}, "flags.policy.flags.backof: "},
		"unknown variant": {Config{Definitions: file, Gates: []Gate{{Flag: "backoff", Binary: "bin", Safe: "older"}}}, "flags.gates[0].safe: "},
	} {
		errs := c.config.CheckFiles("flags")
		switch {
		case c.want == "" && len(errs) > 0:
			t.Errorf("%s: %v", name, errs)
		case c.want != "" && (len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), c.want)):
			t.Errorf("%s: got %v, want one that begins with %q", name, errs, c.want)
		}
	}
}
