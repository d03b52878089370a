package unleash_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"aftershock/flags/remote"
)

func isConflict(err error) bool { return errors.Is(err, remote.ErrConflict) }

// secret writes a token into a file.
func secret(t testing.TB, token string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
