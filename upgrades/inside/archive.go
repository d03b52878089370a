package inside

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"aftershock/upgrades/inside/machine"
)

// Bounds of archives and lists of components.
const (
	maxDirectory = 64 << 20
	maxEntries   = 500_000
	maxEntry     = 4 << 20
	maxSBOM      = 128 << 20
)

// readArchive reads what is no ELF file.
func readArchive(p *Fingerprint, r io.ReaderAt, size int64, head []byte) error {
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return readJAR(p, r, size)
	}
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if bytes.HasPrefix(trimmed, []byte("{")) && size <= maxSBOM {
		if readSBOM(p, io.NewSectionReader(r, 0, size)) {
			return nil
		}
	}
	return readOther(p, r, size)
}

// OpenZip reads a zip's directory, within bounds: what the record at the file's end says
// of its size (APPNOTE.TXT 4.3.16) is told before, and what it really has is held to them. The
// error may be zip.ErrInsecurePath, with a reader.
func OpenZip(r io.ReaderAt, size int64) (*zip.Reader, error) {
	if err := checkDirectory(r, size); err != nil {
		return nil, err
	}
	b := &boundedAt{r: r, left: maxDirectory + 1<<20}
	z, err := zip.NewReader(b, size)
	b.free = true
	return z, err
}

// boundedAt reads so many bytes, until it is free to read all.
type boundedAt struct {
	r    io.ReaderAt
	left int64
	free bool
}

func (b *boundedAt) ReadAt(p []byte, at int64) (int, error) {
	if b.free {
		return b.r.ReadAt(p, at)
	}
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, fmt.Errorf("archive has a directory of more than %d MB, more than is read", maxDirectory>>20)
	}
	return b.r.ReadAt(p, at)
}

// checkDirectory bounds the size that an archive's directory is said to have.
func checkDirectory(r io.ReaderAt, size int64) error {
	tail := make([]byte, min(size, 22+1<<16))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	i := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if i < 0 || len(tail)-i < 22 {
		return errors.New("archive has no directory")
	}
	if n := binary.LittleEndian.Uint32(tail[i+12:]); n > maxDirectory {
		return fmt.Errorf("archive has a directory of %d MB, more than is read", n>>20)
	}
	return nil
}

// library matches an archive within an archive and its version.
var library = regexp.MustCompile(`^(?:.*/)?([^/]+?)(?:-(\d[^/]*?))?\.jar$`)

// readJAR reads a Java archive's directory: a class is compared by its checksum.
func readJAR(p *Fingerprint, r io.ReaderAt, size int64) error {
	z, err := OpenZip(r, size)
	if err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	if len(z.File) > maxEntries {
		return fmt.Errorf("archive has more than %d entries", maxEntries)
	}
	p.Form = FormJAR
	p.Modules, p.Settings = map[string]string{}, map[string]string{}
	for _, f := range z.File {
		sum := machine.Digest{uint64(f.CRC32), f.UncompressedSize64}
		switch {
		case strings.HasSuffix(f.Name, "/"):
		case strings.HasSuffix(f.Name, ".class"):
			name := strings.TrimPrefix(strings.TrimPrefix(f.Name, "BOOT-INF/classes/"), "WEB-INF/classes/")
			name = strings.ReplaceAll(strings.TrimSuffix(name, ".class"), "/", ".")
			p.Functions = append(p.Functions, Function{Name: name, Full: sum, Size: int(min(f.UncompressedSize64, 1<<30))})
		case f.Name == "META-INF/MANIFEST.MF":
			err = readPairs(f, ":", func(k, v string) { p.manifest(k, v) })
		case strings.HasSuffix(f.Name, "/pom.properties"):
			err = p.readPOM(f)
		case strings.HasSuffix(f.Name, ".properties"):
			err = readPairs(f, "=", func(k, v string) { p.Settings[path.Base(f.Name)+": "+k] = v })
		case library.MatchString(f.Name):
			m := library.FindStringSubmatch(f.Name)
			if p.Modules[m[1]] = m[2]; m[2] == "" {
				p.Modules[m[1]] = fmt.Sprintf("crc32 %08x", f.CRC32)
			}
		case !strings.HasPrefix(f.Name, "META-INF/"):
			p.Settings["file "+f.Name] = fmt.Sprintf("crc32 %08x", f.CRC32)
		}
		if err != nil {
			return fmt.Errorf("read %s in archive: %w", f.Name, err)
		}
	}
	return nil
}

func (p *Fingerprint) manifest(k, v string) {
	switch k {
	case "Implementation-Version", "Bundle-Version":
		if p.Version == "" || k == "Implementation-Version" {
			p.Version = v
		}
	case "Build-Jdk", "Build-Jdk-Spec", "Created-By":
		if p.Toolchain == "" || k == "Build-Jdk" {
			p.Toolchain = v
		}
	case "Implementation-Title":
		p.Main = v
	}
}

// readPOM reads which Maven module is in the archive.
func (p *Fingerprint) readPOM(f *zip.File) error {
	var group, artifact, version string
	err := readPairs(f, "=", func(k, v string) {
		switch k {
		case "groupId":
			group = v
		case "artifactId":
			artifact = v
		case "version":
			version = v
		}
	})
	if artifact != "" {
		p.Modules[group+":"+artifact] = version
	}
	return err
}

// readPairs reads lines of keys and values. A file that is too large is left out.
func readPairs(f *zip.File, separator string, visit func(k, v string)) error {
	if f.UncompressedSize64 > maxEntry {
		return nil
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	lines := bufio.NewScanner(io.LimitReader(r, maxEntry))
	lines.Buffer(nil, maxEntry)
	for lines.Scan() {
		k, v, ok := strings.Cut(lines.Text(), separator)
		if k = strings.TrimSpace(k); ok && k != "" && k[0] != '#' && k[0] != '!' {
			visit(k, strings.TrimSpace(v))
		}
	}
	return lines.Err()
}

// component is one of CycloneDX's (cyclonedx.org/docs/1.6/json).
type component struct {
	Group, Name, Version, Purl string
	Components                 []component
}

// readSBOM reads the versions of components from CycloneDX or SPDX, and says
// whether it is one.
func readSBOM(p *Fingerprint, r io.Reader) bool {
	var list struct {
		BOMFormat   string `json:"bomFormat"`
		SPDXVersion string `json:"spdxVersion"`
		Name        string
		Metadata    struct{ Component component }
		Components  []component
		Packages    []struct{ Name, VersionInfo string }
	}
	if err := json.NewDecoder(r).Decode(&list); err != nil || list.BOMFormat != "CycloneDX" && list.SPDXVersion == "" {
		return false
	}
	p.Form, p.Modules = FormSBOM, map[string]string{}
	p.Main, p.Version = list.Metadata.Component.Name, list.Metadata.Component.Version
	if p.Main == "" {
		p.Main = list.Name
	}
	p.components(list.Components)
	for _, k := range list.Packages {
		p.Modules[k.Name] = k.VersionInfo
	}
	return true
}

func (p *Fingerprint) components(list []component) {
	for _, k := range list {
		name := k.Name
		if k.Group != "" {
			name = k.Group + "/" + k.Name
		}
		p.Modules[name] = k.Version
		p.components(k.Components)
	}
}
