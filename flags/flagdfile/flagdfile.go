// Package flagdfile toggles flags in a file that flagd reads.
//
// It promises that a reader sees the old file or the new one and nothing between,
// also after a power cut; that all but the toggled flag stays as it was, to the
// byte, with the file's mode and owner; and that what somebody else wrote in
// between isn't lost: the files are exchanged in one step where the system can,
// and exchanged back where the old one wasn't the one that was read.
package flagdfile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"aftershock/flags/flagd"
	"aftershock/flags/remote"
)

const (
	// maxFile bounds the file, in bytes.
	maxFile = 4 << 20
	// stale is how old a staged file is when nobody is at it any more.
	stale = time.Minute
)

// File is one file of flags. Its methods may be called concurrently.
type File struct {
	path string
	mu   sync.Mutex // one write of ours at a time

	// at, if not nil, is told of the steps of a write, for tests that cut it off.
	at func(step string) error
}

// New returns the file of the configuration. It doesn't look whether it's there.
func New(c Config) (*File, error) { return &File{path: c.Path}, nil }

// Check says what is wrong with the file, or with the named flags in it.
func (f *File) Check(flags []string) error {
	b, _, err := read(f.path)
	if err != nil {
		return fmt.Errorf("%w; name the file that flagd reads, and let the daemon read and write it", err)
	}
	if _, err := flagd.Keys(b); err != nil {
		return fmt.Errorf("%s: %w; mend it, as flagd can't read it either", f.path, err)
	}
	for _, flag := range flags {
		if _, err := flagd.Read(b, flag, time.Now()); err != nil {
			return fmt.Errorf("%s: %w; define it there, or take it out of flags", f.path, err)
		}
	}
	return nil
}

// Keys returns the file's flags.
func (f *File) Keys(context.Context) ([]string, error) {
	b, _, err := read(f.path)
	if err != nil {
		return nil, err
	}
	return flagd.Keys(b)
}

// Read returns a flag; the revision is the digest of the whole file.
func (f *File) Read(_ context.Context, flag string) (remote.State, error) {
	b, _, err := read(f.path)
	if err != nil {
		return remote.State{}, err
	}
	s, err := flagd.Read(b, flag, time.Now())
	if err != nil {
		return s, fmt.Errorf("%s: %w", f.path, err)
	}
	s.Revision = remote.Digest(b)
	return s, nil
}

// Pin wraps the flag's targeting.
func (f *File) Pin(definition json.RawMessage, variant string) (json.RawMessage, []string, error) {
	return flagd.Pin(definition, variant)
}

// Write replaces the flag's definition, if the file is still the one that the
// change was planned on.
func (f *File) Write(_ context.Context, flag string, c remote.Change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	// The file may be a link, as ConfigMaps are mounted: what it leads to is
	// replaced.
	path, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return refusal(err)
	}
	b, info, err := read(path)
	if err != nil {
		return err
	}
	if got := remote.Digest(b); got != c.From.Revision {
		return fmt.Errorf("write %s: %w: it has the digest %s, not %s", f.path, remote.ErrConflict, got, remote.Cut(c.From.Revision, 40))
	}
	next, err := flagd.Replace(b, flag, c.To)
	if err != nil {
		return err
	}
	if len(next) > maxFile {
		return fmt.Errorf("write %s: %w: it would have more than %d bytes", f.path, remote.ErrReadOnly, maxFile)
	}
	if c.DryRun {
		return nil
	}
	temporary, err := f.stage(path, next, info)
	if err != nil {
		return err
	}
	if err := f.swap(temporary, path, b, next); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	return nil
}

// stage writes the new content beside the file, durably, and returns its name.
func (f *File) stage(path string, content []byte, like fs.FileInfo) (name string, err error) {
	pattern := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".aftershock-*")
	sweep(pattern)
	t, err := os.CreateTemp(filepath.Dir(path), filepath.Base(pattern))
	if err != nil {
		return "", refusal(err)
	}
	defer func() {
		if closed := t.Close(); err == nil {
			err = closed
		}
		if err != nil {
			_ = os.Remove(t.Name())
			err = refusal(err)
		}
	}()
	if err := adopt(t, like); err != nil {
		return "", err
	}
	if _, err := t.Write(content); err != nil {
		return "", err
	}
	if err := t.Sync(); err != nil {
		return "", err
	}
	return t.Name(), f.step("staged")
}

// sweep removes what a crash left behind.
func sweep(pattern string) {
	names, _ := filepath.Glob(pattern) // the file's own name may be a bad pattern
	for _, name := range names {
		if info, err := os.Lstat(name); err == nil && time.Since(info.ModTime()) > stale {
			_ = os.Remove(name)
		}
	}
}

// swap puts the staged file in the place of the old one, unless that isn't the one
// that was read any more.
func (f *File) swap(temporary, path string, old, next []byte) error {
	now, _, err := read(path)
	if err != nil {
		return err
	}
	if remote.Digest(now) != remote.Digest(old) {
		return fmt.Errorf("write %s: %w", f.path, remote.ErrConflict)
	}
	if err := f.step("checked"); err != nil {
		return err
	}
	exchanged, err := exchange(temporary, path)
	if err != nil {
		return refusal(err)
	}
	if err := f.step("renamed"); err != nil {
		return err
	}
	if exchanged {
		if err := f.lookBack(temporary, path, old, next); err != nil {
			return err
		}
		if err := os.Remove(temporary); err != nil {
			return fmt.Errorf("%w: remove the old file: %w", remote.ErrUnclear, err)
		}
	}
	return syncDir(filepath.Dir(path))
}

// lookBack puts back what somebody else wrote between the last look and the
// exchange.
func (f *File) lookBack(temporary, path string, old, next []byte) error {
	was, _, err := read(temporary)
	if err == nil && remote.Digest(was) == remote.Digest(old) {
		return nil
	}
	// Whatever came after our exchange is newer than what we took out.
	if now, _, err := read(path); err == nil && remote.Digest(now) == remote.Digest(next) {
		if _, err := exchange(temporary, path); err != nil {
			return fmt.Errorf("%w: put back what somebody else wrote to %s: %w", remote.ErrUnclear, f.path, err)
		}
	}
	return fmt.Errorf("write %s: %w", f.path, remote.ErrConflict)
}

func (f *File) step(name string) error {
	if f.at == nil {
		return nil
	}
	return f.at(name)
}

// read reads a regular file of bounded size.
func read(path string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s isn't a regular file", path)
	}
	t, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer t.Close()
	b, err := io.ReadAll(io.LimitReader(t, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s has more than the %d bytes allowed", path, maxFile)
	}
	return b, info, err
}

// syncDir makes a rename durable. Without it the flag is changed all the same.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("%w: make the change durable: %w", remote.ErrUnclear, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("%w: make the change durable: %w", remote.ErrUnclear, err)
	}
	return nil
}

// refusal makes an error before the change one that says that nothing was changed.
func refusal(err error) error {
	if errors.Is(err, remote.ErrReadOnly) || errors.Is(err, remote.ErrConflict) || errors.Is(err, remote.ErrUnclear) {
		return err
	}
	return fmt.Errorf("%w: %w", remote.ErrReadOnly, err)
}
