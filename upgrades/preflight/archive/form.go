package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// Forms of packages.
const (
	FormDirectory = "directory"
	FormZip       = "zip"
	FormTar       = "tar"
	FormTarGzip   = "tar.gz"
	FormTarZstd   = "tar.zst"
	FormTarXZ     = "tar.xz"
	FormTarBzip2  = "tar.bz2"
	FormDeb       = "deb"
	FormRPM       = "rpm"
)

// maxWindow bounds the memory that a decompressor may ask for.
const maxWindow = 64 << 20

var errForm = errors.New("it is no package that is known: want a zip, tar (plain, gzip, zstd, xz, bzip2), deb or rpm, or a directory")

// form tells what a file is by what it holds, whatever its name.
func form(r io.ReaderAt, size int64) (string, error) {
	head := make([]byte, 512)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	head = head[:n]
	for magic, form := range map[string]string{
		"PK\x03\x04": FormZip, "PK\x05\x06": FormZip, "!<arch>\n": FormDeb, "\xed\xab\xee\xdb": FormRPM,
		"\x1f\x8b": FormTarGzip, "\x28\xb5\x2f\xfd": FormTarZstd, "\xfd7zXZ\x00": FormTarXZ, "BZh": FormTarBzip2,
	} {
		if strings.HasPrefix(string(head), magic) {
			return form, nil
		}
	}
	if len(head) == 512 && bytes.HasPrefix(head[257:], []byte("ustar")) {
		return FormTar, nil
	}
	// A zip may have something before it: its directory is at the end.
	tail := make([]byte, min(size, 22+1<<16))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err == nil || errors.Is(err, io.EOF) {
		if i := bytes.LastIndex(tail, []byte("PK\x05\x06")); i >= 0 && len(tail)-i >= 22 {
			return FormZip, nil
		}
	}
	return "", errForm
}

// decompressed is what a compressed stream holds, by its first bytes; a stream that isn't
// compressed comes back as it is.
func decompressed(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	head, err := b.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return gzip.NewReader(b)
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(b, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxWindow*2))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		x, err := xz.ReaderConfig{DictCap: maxWindow}.NewReader(b)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(x), nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return io.NopCloser(bzip2.NewReader(b)), nil
	case bytes.HasPrefix(head, []byte("\x5d\x00\x00")): // as old RPM packages have it
		l, err := lzma.ReaderConfig{DictCap: maxWindow}.NewReader(b)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(l), nil
	}
	return io.NopCloser(b), nil
}

// kindOf tells what a file is by its first bytes and its name.
func kindOf(head []byte, name string) string {
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return "elf"
	case bytes.HasPrefix(head, []byte("MZ")) && len(head) >= 64 && bytes.IndexByte(head[:64], 0) >= 0: // a script may begin so
		return "pe"
	case bytes.HasPrefix(head, []byte("\xcf\xfa\xed\xfe")), bytes.HasPrefix(head, []byte("\xce\xfa\xed\xfe")):
		return "macho"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")) && jarLike(name):
		return "jar"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("!<arch>\ndebian-binary")), bytes.HasPrefix(head, []byte("\xed\xab\xee\xdb")),
		tarLike(name) && (bytes.HasPrefix(head, []byte("\x1f\x8b")) || bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")) ||
			bytes.HasPrefix(head, []byte("\xfd7zXZ")) || bytes.HasPrefix(head, []byte("BZh"))),
		len(head) >= 262 && bytes.Equal(head[257:262], []byte("ustar")):
		return "archive"
	}
	return ""
}

func jarLike(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".jar") || strings.HasSuffix(name, ".war") || strings.HasSuffix(name, ".ear")
}

func tarLike(name string) bool {
	name = strings.ToLower(name)
	for _, end := range []string{".tgz", ".tar.gz", ".tar.zst", ".tar.xz", ".txz", ".tar.bz2", ".tbz2"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}
