package inside

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"aftershock/upgrades/inside/image"
)

// maxFile is the size of the largest file that is read.
const maxFile = 4 << 30

// Take reads a file's fingerprint. Nothing is kept open.
func Take(path string) (Fingerprint, error) {
	f, info, err := open(path)
	if err != nil {
		return Fingerprint{}, err
	}
	defer f.Close()
	return Read(path, f, info.Size())
}

// open opens a regular file. What isn't one is refused before it is opened: a FIFO
// would wait for a writer for good.
func open(path string) (*os.File, os.FileInfo, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, nil, irregular(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w: name a file that can be read", path, unwrapPath(err))
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = irregular(path)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func irregular(path string) error {
	return fmt.Errorf("%s: it is no regular file: name a binary or a directory of them", path)
}

// unwrapPath drops the path, which is told anyway.
func unwrapPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// Running is the path of a process's binary as it runs, also when the file was
// replaced or deleted since (proc(5), /proc/PID/exe).
func Running(pid int) string { return fmt.Sprintf("/proc/%d/exe", pid) }

// Read takes the fingerprint of what a reader gives.
func Read(path string, r io.ReaderAt, size int64) (p Fingerprint, err error) {
	defer func() {
		if v := recover(); v != nil {
			p, err = Fingerprint{}, fmt.Errorf("%s: it breaks what reads it (%v): compare a file that is whole", path, v)
		}
	}()
	if size > maxFile {
		return p, fmt.Errorf("%s: it has %d MB, more than %d: compare smaller files", path, size>>20, maxFile>>20)
	}
	sum, err := sum(io.NewSectionReader(r, 0, size))
	if err != nil {
		return p, fmt.Errorf("%s: %w: is the file whole?", path, unwrapPath(err))
	}
	p = Fingerprint{Path: path, SHA256: sum, Form: FormOther}
	head := make([]byte, min(size, 512))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return p, fmt.Errorf("%s: %w: is the file whole?", path, unwrapPath(err))
	}
	if err := readForm(&p, r, size, head); err != nil {
		return Fingerprint{}, fmt.Errorf("%s: %w: compare a file that is whole", path, err)
	}
	return p, nil
}

// readForm reads by what the file begins with.
func readForm(p *Fingerprint, r io.ReaderAt, size int64, head []byte) error {
	if !bytes.HasPrefix(head, []byte("\x7fELF")) {
		return readArchive(p, r, size, head)
	}
	f, err := image.Open(r, size)
	if err != nil {
		return err
	}
	p.BuildID = readBuildID(f)
	isGo, err := readBuild(r, p)
	if err != nil {
		return err
	}
	if isGo || f.Section(".gopclntab") != nil {
		return readGo(f, p)
	}
	return readNative(f, p)
}

// digest is a file's SHA-256.
func digest(path string) (string, error) {
	f, _, err := open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return sum(io.LimitReader(f, maxFile))
}

func sum(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
