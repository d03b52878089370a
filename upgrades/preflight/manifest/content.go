package manifest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"

	"aftershock/upgrades/inside"
)

// Content is a file that is in the package.
type Content struct {
	// Path is within the package, with slashes.
	Path string
	Size int64
	// SHA256 is its digest in hex, "" where it wasn't read.
	SHA256 string
}

// Contents reads the regular files of an unpacked package, with their digests. The error is of the
// context, of a file that can't be read, or of more than 100,000 files.
func Contents(ctx context.Context, fsys fs.FS) ([]Content, error) {
	contents := []Content{}
	buffer := make([]byte, 1<<20)
	err := fs.WalkDir(fsys, ".", func(at string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if len(contents) >= maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		f, err := fsys.Open(at)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		n, err := io.CopyBuffer(h, f, buffer)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		contents = append(contents, Content{Path: at, Size: n, SHA256: hex.EncodeToString(h.Sum(nil))})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the package's files: %w", err)
	}
	return contents, nil
}

// Versions gives the versions inside the binaries that the manifest names, by their path in the
// package. Binaries that can't be read, and those that don't tell a version, aren't in it.
func (m Manifest) Versions(ctx context.Context, fsys fs.FS) map[string]string {
	versions := map[string]string{}
	for _, b := range m.Binaries {
		at, ok := m.within(b.Path)
		if !ok || b.Path == "" || ctx.Err() != nil {
			continue
		}
		if v := versionInside(fsys, at); v != "" {
			versions[at] = v
		}
	}
	return versions
}

func versionInside(fsys fs.FS, at string) string {
	f, err := fsys.Open(at)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	r, ok := f.(io.ReaderAt)
	if err != nil || !ok || !info.Mode().IsRegular() {
		return ""
	}
	p, err := inside.Read(at, r, info.Size())
	if err != nil || p.Version == "(devel)" {
		return ""
	}
	return p.Version
}
