package notify

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/prometheus/common/config"
)

// maxSecret bounds a file that holds a secret, in bytes.
const maxSecret = 4 << 10

// Secret is a key, a password or a URL that holds one: given in the config, or
// better in a file, which is read for each message so that it can be changed
// under a running daemon. Value is never shown.
type Secret struct {
	Value config.Secret
	File  string
}

// Set says whether there is one.
func (s Secret) Set() bool { return s.Value != "" || s.File != "" }

// Check says what is wrong with a secret of which exactly one form must be given;
// name is the key of the one in the config, name_file of the other.
func (s Secret) Check(path, name string) []error {
	if (s.Value == "") == (s.File == "") {
		return []error{fmt.Errorf("%s: needs exactly one of %s and %s_file", path, name, name)}
	}
	return nil
}

// Read gives the secret without the white space around it; what names it in an
// error, which never holds it.
func (s Secret) Read(what string) (string, error) {
	if s.File == "" {
		return string(s.Value), nil
	}
	// A pipe that nobody writes to would hold up the delivery for ever.
	if info, err := os.Stat(s.File); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("read the %s: it isn't a regular file", what)
	}
	f, err := os.Open(s.File)
	if err != nil {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	secret := strings.TrimSpace(string(b))
	switch {
	case secret == "":
		return "", fmt.Errorf("read the %s: the file is empty", what)
	case len(b) > maxSecret:
		return "", fmt.Errorf("read the %s: the file is larger than %d bytes", what, maxSecret)
	}
	return secret, nil
}
