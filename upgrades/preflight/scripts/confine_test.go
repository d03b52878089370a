package scripts

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"aftershock/detector"
)

// Scripts can be made on which shellcheck takes all memory: what it may have is bounded.
func TestShellcheckIsConfined(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("its memory is bounded on Linux alone")
	}
	program := filepath.Join(t.TempDir(), "shellcheck")
	text := "#!/bin/bash\nsleep 0.3\nprintf '[{\"line\":1,\"level\":\"error\",\"code\":2068,\"message\":\"%s kB\"}]' \"$(ulimit -d)\"\n"
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	got := Check(t.Context(), []Script{{Path: "i.sh", Text: []byte("#!/bin/sh\n:\n")}, {Path: "usr/bin/x", Text: []byte("#!/bin/sh\n:\n")}}, Host{Shellcheck: program})
	if len(got) != 1 || got[0].Severity != detector.Note || !strings.Contains(got[0].What, "524288 kB") {
		t.Errorf("%+v", got)
	}
	if slices.ContainsFunc(got, func(f detector.Finding) bool { return f.Place.File != "i.sh" }) {
		t.Error("it is asked about what is only installed")
	}
}
