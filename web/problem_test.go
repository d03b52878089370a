package web

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
)

// A body that comes too slowly or breaks off is the sender's trouble, not ours.
func TestBadBody(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{os.ErrDeadlineExceeded, http.StatusRequestTimeout},
		{io.ErrUnexpectedEOF, http.StatusBadRequest},
		{&http.MaxBytesError{Limit: 1}, http.StatusRequestEntityTooLarge},
	} {
		if got, detail := statusOf(badBody(fmt.Errorf("read: %w", tt.err))); got != tt.want || detail == "" {
			t.Errorf("%v: got %d %q, want %d", tt.err, got, detail, tt.want)
		}
	}
}
