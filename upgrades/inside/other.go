package inside

import (
	"bufio"
	"io"
	"slices"
)

// Bounds of the strings that are kept of a file of no known form.
const (
	maxOtherTexts = 200_000
	minOtherText  = 6
)

// readOther keeps the strings of a file that is of no known form.
func readOther(p *Fingerprint, r io.ReaderAt, size int64) error {
	p.Notes = append(p.Notes, "it is of no form that is known here: only its strings are compared")
	in := bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 1<<16)
	var run []byte
	seen := map[string]bool{}
	flush := func() {
		if len(run) >= minOtherText && len(seen) < maxOtherTexts {
			seen[string(run)] = true
		}
		run = run[:0]
	}
	for {
		c, err := in.ReadByte()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if c >= ' ' && c < 0x7f && len(run) < 4096 {
			run = append(run, c)
			continue
		}
		flush()
	}
	flush()
	for s := range seen {
		p.Texts = append(p.Texts, s)
	}
	slices.Sort(p.Texts)
	for i := range p.Texts {
		p.DataTexts = append(p.DataTexts, int32(i))
	}
	return nil
}
