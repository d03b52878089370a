package signature

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// maxPinFile bounds the file, in bytes.
const maxPinFile = 16 << 20

// PinFile keeps pins in a JSON file, which is for its owner alone. Several processes may use one at once: what
// changes it holds a lock beside it (PATH.lock).
type PinFile struct {
	Path string
}

// pinDocument is the file's content.
type pinDocument struct {
	Pins []Pin `json:"pins"`
}

// Pinned gives a publisher's pins; none where there is no file yet.
func (f PinFile) Pinned(_ context.Context, publisher string) ([]Pin, error) {
	all, err := f.read()
	return of(all, publisher), err
}

// Pin keeps one: it is on the disk when it returns.
func (f PinFile) Pin(ctx context.Context, p Pin) error {
	lock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	all, err := f.read()
	if err != nil {
		return err
	}
	more, err := with(all, p)
	if err != nil || len(more) == len(all) {
		return err
	}
	data, err := json.MarshalIndent(pinDocument{more}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the pins %s: %w", f.Path, err)
	}
	if len(data) >= maxPinFile {
		return fmt.Errorf("write the pins %s: they would take more than %d bytes", f.Path, maxPinFile)
	}
	if err := f.replace(append(data, '\n')); err != nil {
		return fmt.Errorf("write the pins %s: %w", f.Path, err)
	}
	return nil
}

// lock waits until nobody else changes the file, or the context ends.
func (f PinFile) lock(ctx context.Context) (*os.File, error) {
	lock, err := os.OpenFile(f.Path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the pins: %w", err)
	}
	for {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = lock.Close()
			return nil, fmt.Errorf("lock the pins %s: %w", f.Path, err)
		}
		select {
		case <-ctx.Done():
			_ = lock.Close()
			return nil, fmt.Errorf("lock the pins %s, which another process holds: %w", f.Path, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (f PinFile) read() ([]Pin, error) {
	in, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the pins: %w", err)
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxPinFile+1))
	if err == nil && len(data) > maxPinFile {
		err = fmt.Errorf("it is larger than %d bytes", maxPinFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read the pins %s: %w", f.Path, err)
	}
	pins, err := parsePins(data)
	if err != nil {
		return nil, fmt.Errorf("read the pins %s: %w", f.Path, err)
	}
	return pins, nil
}

// parsePins reads the file's content. Pins that can't be read are an error, for without them everything
// would be a first use.
func parsePins(data []byte) ([]Pin, error) {
	var d pinDocument
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the pins")
	}
	if len(d.Pins) > maxAllPins {
		return nil, fmt.Errorf("there are more than %d", maxAllPins)
	}
	for n, p := range d.Pins {
		if p.Publisher == "" || p.Kind == "" || p.Fingerprint == "" {
			return nil, fmt.Errorf("pin %d lacks the publisher, the kind or the fingerprint", n+1)
		}
	}
	return d.Pins, nil
}

// replace puts the new content in the file's place, whole or not at all.
func (f PinFile) replace(data []byte) error {
	dir := filepath.Dir(f.Path)
	t, err := os.CreateTemp(dir, ".pins-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	_, err = t.Write(data)
	if err = errors.Join(err, t.Sync(), t.Close()); err != nil {
		return err
	}
	if err := os.Rename(t.Name(), f.Path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
