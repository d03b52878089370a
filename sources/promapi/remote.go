package promapi

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"

	"aftershock/sources/series"
)

const (
	readPath = "/api/v1/read"
	// maxFrame bounds one frame. Prometheus sends frames of about 1 MB.
	maxFrame = 16 << 20
)

// readChunks reads a window by remote read, as a stream of the server's chunks.
func (s *Source) readChunks(ctx context.Context, names []string, w span, add func(series.Series) error) (int, error) {
	matcher := &prompb.LabelMatcher{Type: prompb.LabelMatcher_EQ, Name: "__name__", Value: names[0]}
	if len(names) > 1 {
		matcher.Type, matcher.Value = prompb.LabelMatcher_RE, alternation(names)
	}
	d := s.deliver(add)
	c, err := remoteCall(matcher, w)
	if err != nil {
		return 0, err
	}
	c.read = func(resp *http.Response) error {
		if !streams(resp) {
			return &failure{outcome: outcomeRefused, status: resp.StatusCode, text: "the server no longer streams chunks"}
		}
		d.begin()
		return readFrames(resp.Body, w, d.series)
	}
	err = s.do(ctx, c)
	return d.result(err)
}

// remoteCall asks for streamed chunks.
func remoteCall(matcher *prompb.LabelMatcher, w span) (call, error) {
	request := &prompb.ReadRequest{
		Queries: []*prompb.Query{{
			StartTimestampMs: w.from, EndTimestampMs: w.to,
			Matchers: []*prompb.LabelMatcher{matcher},
		}},
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS},
	}
	body, err := request.Marshal()
	if err != nil {
		return call{}, fmt.Errorf("encode a remote read: %w", err)
	}
	return call{
		way: string(RemoteRead), path: readPath, body: snappy.Encode(nil, body),
		header: http.Header{"Content-Encoding": {"snappy"}, "X-Prometheus-Remote-Read-Version": {"0.1.0"}},
	}, nil
}

func streams(resp *http.Response) bool {
	return strings.Contains(resp.Header.Get("Content-Type"), "ChunkedReadResponse")
}

// readFrames decodes a stream of frames: uvarint length, CRC-32 (Castagnoli,
// big-endian), prompb.ChunkedReadResponse. A series may be spread over frames
// that follow each other.
func readFrames(body io.Reader, w span, done func(*assembly) error) error {
	frames := frameReader{r: bufio.NewReaderSize(body, 64<<10)}
	a := &assembly{from: w.from, to: w.to}
	var current []prompb.Label
	open := false
	for n := 1; ; n++ {
		data, err := frames.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return broken("frame %d: %w", n, err)
		}
		var frame prompb.ChunkedReadResponse
		if err := frame.Unmarshal(data); err != nil {
			return broken("frame %d can't be decoded: %w", n, err)
		}
		if frame.QueryIndex != 0 {
			return broken("frame %d answers the query %d of 1", n, frame.QueryIndex+1)
		}
		for _, one := range frame.ChunkedSeries {
			if !open || !slices.EqualFunc(current, one.Labels, sameLabel) {
				if open {
					if err := done(a); err != nil {
						return err
					}
				}
				l, err := toLabels(one.Labels)
				if err != nil {
					return broken("frame %d: %w", n, err)
				}
				a.begin(l)
				current, open = one.Labels, true
			}
			if err := a.chunks(one.Chunks); err != nil {
				return broken("frame %d: series %s: %w", n, oneLine(a.labels.String()), err)
			}
		}
	}
	if open {
		return done(a)
	}
	return nil
}

func sameLabel(a, b prompb.Label) bool { return a.Name == b.Name && a.Value == b.Value }

type frameReader struct {
	r    *bufio.Reader
	data []byte
}

// next gives the bytes of a frame, good until the next call; io.EOF at the end
// of the stream.
func (f *frameReader) next() ([]byte, error) {
	size, err := binary.ReadUvarint(f.r)
	if errors.Is(err, io.EOF) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("read its length: %w", err)
	}
	if size > maxFrame {
		return nil, fmt.Errorf("claims %d bytes, over the bound of %d", size, maxFrame)
	}
	var sum [4]byte
	if _, err := io.ReadFull(f.r, sum[:]); err != nil {
		return nil, fmt.Errorf("read its checksum: %w", whole(err))
	}
	if uint64(cap(f.data)) < size {
		f.data = make([]byte, size)
	}
	f.data = f.data[:size]
	if _, err := io.ReadFull(f.r, f.data); err != nil {
		return nil, fmt.Errorf("read its %d bytes: %w", size, whole(err))
	}
	if got, want := crc32.Checksum(f.data, crc32.MakeTable(crc32.Castagnoli)), binary.BigEndian.Uint32(sum[:]); got != want {
		return nil, fmt.Errorf("has the checksum %08x, but says %08x", got, want)
	}
	return f.data, nil
}

// whole tells an end within something from the end.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
