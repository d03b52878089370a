package inside

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// Cache keeps fingerprints in a directory, a file for each build, so that a
// binary is read once. The zero value keeps nothing; several processes may share
// one, for files appear whole.
type Cache struct {
	// Dir is the directory.
	Dir string
	// Limit is how many bytes are kept, 0 for 256 MB. What was used longest ago
	// goes first.
	Limit int64
}

// form is the version of what is kept: another one is not read.
const form = "3"

// maxKept is the size of the largest fingerprint that is read back.
const maxKept = 1 << 30

// key is what a file of the cache may be called.
var key = regexp.MustCompile(`^[0-9a-f]{16,128}$`)

func (c Cache) path(sha256 string) (string, error) {
	if !key.MatchString(sha256) {
		return "", fmt.Errorf("no digest: %q", sha256)
	}
	return filepath.Join(c.Dir, sha256+"."+form+".json.zst"), nil
}

// Get gives the fingerprint of a file by its SHA-256; ok is false when there is
// none. One that can't be read is none.
func (c Cache) Get(sha256 string) (p Fingerprint, ok bool) {
	path, err := c.path(sha256)
	if c.Dir == "" || err != nil {
		return p, false
	}
	f, err := os.Open(path)
	if err != nil {
		return p, false
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderMaxMemory(maxKept), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return p, false
	}
	defer z.Close()
	if err := json.NewDecoder(io.LimitReader(z, maxKept)).Decode(&p); err != nil || p.SHA256 != sha256 || !p.sound() {
		return Fingerprint{}, false
	}
	return p, true
}

// sound says that indexes are within their lists.
func (p *Fingerprint) sound() bool {
	within := func(list []int32, n int) bool {
		return !slices.ContainsFunc(list, func(i int32) bool { return i < 0 || int(i) >= n })
	}
	for _, f := range p.Functions {
		if !within(f.Callees, len(p.Functions)) || !within(f.Strings, len(p.Texts)) || !within(f.Variables, len(p.Variables)) || !within(f.Pieces, len(p.Pieces)) {
			return false
		}
	}
	return within(p.DataTexts, len(p.Texts))
}

// Put keeps a fingerprint and drops what is too much.
func (c Cache) Put(p Fingerprint) (err error) {
	path, err := c.path(p.SHA256)
	if c.Dir == "" || err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("keep fingerprint: %w", err)
	}
	f, err := os.CreateTemp(c.Dir, "new-*")
	if err != nil {
		return fmt.Errorf("keep fingerprint: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	z, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err == nil {
		err = errors.Join(json.NewEncoder(z).Encode(p), z.Close())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keep fingerprint: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("keep fingerprint: %w", err)
	}
	return c.trim()
}

// trim drops the oldest files until the rest is within the limit.
func (c Cache) trim() error {
	limit := c.Limit
	if limit == 0 {
		limit = 256 << 20
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return fmt.Errorf("trim fingerprints: %w", err)
	}
	var list []fs.FileInfo
	total := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			list, total = append(list, info), total+info.Size()
		}
	}
	slices.SortFunc(list, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range list {
		if total <= limit {
			break
		}
		if err := os.Remove(filepath.Join(c.Dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("trim fingerprints: %w", err)
		}
		total -= f.Size()
	}
	return nil
}

// Take gives the kept fingerprint of a file, or takes and keeps it.
func (c Cache) Take(path string) (Fingerprint, error) {
	if c.Dir != "" {
		if sum, err := digest(path); err == nil {
			if p, ok := c.Get(sum); ok {
				p.Path = path
				return p, nil
			}
		}
	}
	p, err := Take(path)
	if err != nil || c.Dir == "" {
		return p, err
	}
	return p, c.Put(p)
}
