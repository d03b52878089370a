package promapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/prometheus/prometheus/prompb"
)

const (
	// maxElement bounds one series of an answer, in bytes of JSON.
	maxElement = 128 << 20
	maxNotes   = 5
)

// matrixSeries is one series of a matrix as JSON has it.
type matrixSeries struct {
	Metric     map[string]string `json:"metric"`
	Values     json.RawMessage   `json:"values"`
	Histograms json.RawMessage   `json:"histograms"`
}

// readMatrix reads an answer of the query API, one series after another, so
// that memory holds one of them. It returns the server's warnings and infos.
func readMatrix(body io.Reader, each func(*matrixSeries) error) (notes []string, err error) {
	limited := &elementReader{r: body}
	m := matrixReader{dec: json.NewDecoder(limited), limited: limited, each: each}
	err = m.object(func(key string) error {
		switch key {
		case "status":
			return m.dec.Decode(&m.status)
		case "error":
			return m.dec.Decode(&m.problem)
		case "isPartial":
			return m.dec.Decode(&m.partial)
		case "warnings", "infos":
			return m.notes(&notes)
		case "data":
			return m.data()
		}
		return m.dec.Decode(new(json.RawMessage))
	})
	var fail *failure
	var stop errStop
	switch {
	case errors.As(err, &stop), errors.As(err, &fail):
		return nil, err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, broken("the answer is cut off: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return nil, broken("the answer isn't what the query API gives: %w", err)
	case m.status != "success":
		return nil, broken("the answer has the status %q: %s", m.status, oneLine(m.problem))
	case m.kind != "matrix":
		return nil, broken("the answer is of type %q, want a matrix", m.kind)
	case m.partial:
		notes = append(notes, "the answer is partial")
	}
	return notes, nil
}

type matrixReader struct {
	dec     *json.Decoder
	limited *elementReader
	each    func(*matrixSeries) error

	status, problem, kind string
	partial               bool
}

// object walks over an object's fields; field reads each one's value.
func (m *matrixReader) object(field func(key string) error) error {
	if err := m.delim('{'); err != nil {
		return err
	}
	for m.dec.More() {
		token, err := m.dec.Token()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok {
			return fmt.Errorf("%v where a field's name should be", token)
		}
		if err := field(key); err != nil {
			return err
		}
	}
	return m.delim('}')
}

func (m *matrixReader) delim(want json.Delim) error {
	token, err := m.dec.Token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("%v where %v should be", token, want)
	}
	return nil
}

func (m *matrixReader) data() error {
	return m.object(func(key string) error {
		switch key {
		case "resultType":
			return m.dec.Decode(&m.kind)
		case "result":
			return m.result()
		}
		return m.dec.Decode(new(json.RawMessage))
	})
}

func (m *matrixReader) result() error {
	if m.kind != "" && m.kind != "matrix" {
		return broken("the answer is of type %q, want a matrix", m.kind)
	}
	if err := m.delim('['); err != nil {
		return err
	}
	for m.dec.More() {
		m.limited.n = 0
		var one matrixSeries
		if err := m.dec.Decode(&one); err != nil {
			return err
		}
		if err := m.each(&one); err != nil {
			return err
		}
	}
	return m.delim(']')
}

func (m *matrixReader) notes(notes *[]string) error {
	var more []string
	if err := m.dec.Decode(&more); err != nil {
		return err
	}
	for _, note := range more {
		if len(*notes) < maxNotes {
			*notes = append(*notes, oneLine(note))
		}
	}
	return nil
}

// elementReader bounds what is read for one element.
type elementReader struct {
	r io.Reader
	n int
}

func (e *elementReader) Read(p []byte) (int, error) {
	if e.n > maxElement {
		return 0, tooMuch("one series of the answer has more than %d bytes", maxElement)
	}
	n, err := e.r.Read(p)
	e.n += n
	return n, err
}

// into puts the series into an assembly.
func (m *matrixSeries) into(a *assembly) error {
	pairs := make([]prompb.Label, 0, len(m.Metric))
	for name, v := range m.Metric {
		pairs = append(pairs, prompb.Label{Name: name, Value: v})
	}
	l, err := toLabels(pairs)
	if err != nil {
		return broken("%w", err)
	}
	a.begin(l)
	last := int64(math.MinInt64)
	a.floats.grow(min(bytes.Count(m.Values, []byte("],")), maxSeriesSamples) + 1)
	err = pairsOf(m.Values, func(t int64, raw []byte) error {
		if t <= last {
			return fmt.Errorf("samples are out of order (%d ms after %d ms)", t, last)
		}
		last = t
		if t < a.from || t > a.to {
			return nil
		}
		if len(raw) < 2 || raw[0] != '"' {
			return errors.New("a sample's value isn't a string")
		}
		v, err := strconv.ParseFloat(string(raw[1:len(raw)-1]), 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return errors.New("a sample's value isn't a number")
		}
		return a.float(t, 0, v)
	})
	if err == nil {
		last = math.MinInt64
		err = pairsOf(m.Histograms, func(t int64, raw []byte) error {
			if t <= last {
				return fmt.Errorf("histograms are out of order (%d ms after %d ms)", t, last)
			}
			last = t
			if t < a.from || t > a.to {
				return nil
			}
			h, err := parseHistogram(raw)
			if err != nil {
				return err
			}
			return a.histogram(t, 0, h)
		})
	}
	if err != nil {
		return broken("series %s: %w", oneLine(a.labels.String()), err)
	}
	return nil
}

var errPairs = errors.New("the samples aren't pairs of time and value")

// pairsOf walks over [[time, value], ...], times in seconds. The JSON is known
// to be well-formed.
func pairsOf(data []byte, each func(t int64, raw []byte) error) error {
	if len(data) == 0 || string(data) == "null" {
		return nil
	}
	s := scanner{data: data}
	if !s.eat('[') {
		return errPairs
	}
	if s.eat(']') {
		return nil
	}
	for {
		if !s.eat('[') {
			return errPairs
		}
		at, err := strconv.ParseFloat(string(s.value()), 64)
		if err != nil || math.Abs(at) > 1e12 || !s.eat(',') {
			return errPairs
		}
		raw := s.value()
		if !s.eat(']') {
			return errPairs
		}
		if err := each(int64(math.Round(at*1000)), raw); err != nil {
			return err
		}
		if s.eat(']') {
			return nil
		}
		if !s.eat(',') {
			return errPairs
		}
	}
}

// scanner goes over well-formed JSON.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) blanks() {
	for s.pos < len(s.data) && s.data[s.pos] <= ' ' {
		s.pos++
	}
}

func (s *scanner) eat(c byte) bool {
	s.blanks()
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// value passes over one value, up to the comma or bracket that ends it.
func (s *scanner) value() []byte {
	s.blanks()
	start, depth := s.pos, 0
	for ; s.pos < len(s.data); s.pos++ {
		switch s.data[s.pos] {
		case '"':
			for s.pos++; s.pos < len(s.data) && s.data[s.pos] != '"'; s.pos++ {
				if s.data[s.pos] == '\\' {
					s.pos++
				}
			}
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return bytes.TrimSpace(s.data[start:s.pos])
			}
			depth--
		case ',':
			if depth == 0 {
				return bytes.TrimSpace(s.data[start:s.pos])
			}
		}
	}
	return s.data[start:min(s.pos, len(s.data))]
}
