package reports

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Write puts the review into the directory as NAME.html, NAME.md and NAME.json,
// with NAME made of the upgrade's id, and answers their paths. A file is replaced
// as a whole or not at all.
func (r Review) Write(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory for reviews: %w", err)
	}
	var paths []string
	for _, form := range []struct {
		suffix string
		render func(io.Writer) error
	}{{".html", r.HTML}, {".md", r.Markdown}, {".json", r.JSON}} {
		var b bytes.Buffer
		if err := form.render(&b); err != nil {
			return paths, err
		}
		path := filepath.Join(dir, fileName(r.Upgrade.ID)+form.suffix)
		if err := replace(path, b.Bytes()); err != nil {
			return paths, fmt.Errorf("write the review: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// fileName makes an id safe for a file's name; where it had to be changed, a
// digest keeps two ids apart.
func fileName(id string) string {
	const most = 80
	var b strings.Builder
	for _, r := range id {
		switch {
		case r < utf8.RuneSelf && (r == '.' || r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'):
			b.WriteRune(r)
		default:
			b.WriteByte('-')
		}
		if b.Len() == most {
			break
		}
	}
	name := strings.TrimLeft(b.String(), ".-")
	if name != id || name == "" {
		h := fnv.New32a()
		_, _ = h.Write([]byte(id)) // never fails
		name += "-" + hex.EncodeToString(h.Sum(nil))
	}
	return "upgrade-" + strings.TrimLeft(name, "-")
}

// replace writes a new file next to the old one and puts it in its place.
func replace(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".review-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
