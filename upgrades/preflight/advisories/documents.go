package advisories

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"aftershock/detector"
)

// Bounds of what is read.
const (
	maxDocument  = 32 << 20 // a document
	maxTotal     = 4 << 30  // all documents
	maxDocuments = 500_000
	maxKept      = 50_000 // advisories that name something of the package
	maxArchive   = 256 << 20
	maxProblems  = 20
)

var errFull = errors.New("there are more advisories than are read")

func (c *Checker) keep(a *advisory) {
	if len(c.kept) < maxKept {
		c.kept = append(c.kept, a)
	}
}

// problem puts down what couldn't be read: a risk for what was named, a note for one
// of many documents.
func (c *Checker) problem(name string, named bool, err error) {
	c.unread++
	if len(c.problems) >= maxProblems {
		return
	}
	severity := detector.Note
	if named {
		severity = detector.Risk
	}
	c.problems = append(c.problems, detector.Finding{
		Rule: "advisories/unreadable", Severity: severity,
		What: fmt.Sprintf("advisories at %s can't be read: %s", name, strings.Join(strings.Fields(err.Error()), " ")),
		Why:  "a vulnerability that they tell of may be overlooked", Do: "mend the source, or get the document by hand and name its file",
	})
}

// document is what a JSON document may be.
type document struct {
	osvDocument
	csafDocument
	// Catalog is of CISA's catalogue of known exploited vulnerabilities.
	Catalog string            `json:"catalogVersion"`
	Vulns   []json.RawMessage `json:"vulns"` // of OSV's API
}

// AddDocument reads one document: CSAF, OSV, a list of OSV documents, or CISA's
// catalogue of known exploited vulnerabilities. Name is for errors.
func (c *Checker) AddDocument(name string, data []byte) {
	if err := c.add(data, 0); err != nil {
		c.problem(name, true, err)
	}
}

func (c *Checker) add(data []byte, depth int) error {
	if len(data) > maxDocument {
		return fmt.Errorf("it is larger than %d MiB", maxDocument>>20)
	}
	if c.documents++; c.documents > maxDocuments {
		return errFull
	}
	if c.bytes += int64(len(data)); c.bytes > maxTotal {
		return errFull
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	if len(data) > 0 && data[0] == '[' && depth == 0 {
		var list []json.RawMessage
		if err := json.Unmarshal(data, &list); err != nil {
			return errors.New("it is no valid JSON")
		}
		return c.each(list)
	}
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return fmt.Errorf("it is no valid JSON at byte %d", syntax.Offset)
		}
		return fmt.Errorf("it isn't of the schema: %w", err)
	}
	switch {
	case d.Document.CSAFVersion != "":
		if !strings.HasPrefix(d.Document.CSAFVersion, "2.") {
			return fmt.Errorf("it is of CSAF %.20s, and 2.x is read", d.Document.CSAFVersion)
		}
		c.csaf(&d.csafDocument)
	case d.ID != "":
		c.osv(&d.osvDocument)
	case d.Catalog != "":
		return c.catalogue(data)
	case len(d.Vulns) > 0 && depth == 0:
		return c.each(d.Vulns)
	default:
		return errors.New("it is neither CSAF 2.x nor OSV")
	}
	return nil
}

func (c *Checker) each(list []json.RawMessage) error {
	for _, raw := range list {
		if err := c.add(raw, 1); err != nil {
			return err
		}
	}
	return nil
}

// catalogue reads CISA's catalogue of known exploited vulnerabilities.
func (c *Checker) catalogue(data []byte) error {
	var k struct {
		Vulnerabilities []struct {
			ID string `json:"cveID"`
		} `json:"vulnerabilities"`
	}
	if err := json.Unmarshal(data, &k); err != nil {
		return fmt.Errorf("read catalogue: %w", err)
	}
	for _, v := range k.Vulnerabilities {
		if len(c.exploited) < maxDocuments {
			c.exploited[v.ID] = true
		}
	}
	return nil
}

// AddFile reads a file: a document, or a zip archive of them (OSV's all.zip).
func (c *Checker) AddFile(fsys fs.FS, name string) { c.file(fsys, name, true) }

func (c *Checker) file(fsys fs.FS, name string, named bool) {
	f, err := fsys.Open(name)
	if err != nil {
		c.problem(name, named, unwrap(err))
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		c.problem(name, named, errors.New("it is no regular file"))
		return
	}
	if r, ok := f.(io.ReaderAt); ok && strings.HasSuffix(strings.ToLower(name), ".zip") {
		if err := c.archive(name, r, info.Size()); err != nil {
			c.problem(name, named, err)
		}
		return
	}
	data, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err == nil {
		err = c.add(data, 0)
	}
	if err != nil {
		c.problem(name, named, unwrap(err))
	}
}

func unwrap(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// AddFS reads each .json and .zip file of a file system. Links aren't followed.
func (c *Checker) AddFS(fsys fs.FS) {
	seen := 0
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			if name == "." {
				return unwrap(err)
			}
			c.problem(name, false, unwrap(err))
			return nil
		}
		if seen++; seen > maxDocuments {
			return errFull
		}
		ext := strings.ToLower(path.Ext(name))
		base := path.Base(name)
		if d.Type().IsRegular() && (ext == ".json" || ext == ".zip") && base != "provider-metadata.json" {
			c.file(fsys, name, false)
		}
		return nil
	})
	if err != nil {
		c.problem("the directory", true, err)
	}
}

// archive reads the documents of a zip archive.
func (c *Checker) archive(name string, r io.ReaderAt, size int64) error {
	if size > maxTotal {
		return fmt.Errorf("it is larger than %d GiB", maxTotal>>30)
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return errors.New("it is no zip archive that can be read")
	}
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		if err := c.entry(f); errors.Is(err, errFull) {
			return err
		} else if err != nil {
			c.problem(name+":"+f.Name, false, err)
		}
	}
	return nil
}

func (c *Checker) entry(f *zip.File) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return err
	}
	return c.add(data, 0)
}
