package fleet

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
)

func testPeers(t *testing.T, addrs ...string) (*Peers, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "endpoints.json")
	list(t, file, addrs...)
	log := logrus.New()
	log.SetOutput(io.Discard)
	p, err := newPeers("a", file, prometheus.NewRegistry(), logrus.NewEntry(log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.http.CloseIdleConnections)
	return p, file
}

func list(t *testing.T, file string, addrs ...string) {
	t.Helper()
	content, err := json.Marshal(map[string][]string{"b": addrs})
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(file, content); err != nil {
		t.Fatal(err)
	}
}

func server(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// closedAddr is an address on which nothing listens.
func closedAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestCallPassesOverWhatIsDown(t *testing.T) {
	p, _ := testPeers(t, closedAddr(t), server(t, 200, `{"n":1}`))
	for range 4 {
		var out struct{ N int }
		if err := p.Call(t.Context(), "b", "/x", nil, &out); err != nil || out.N != 1 {
			t.Fatalf("got %+v, %v, want the answer of the instance that is up", out, err)
		}
	}
}

func TestCallTakesTurnsAndFollowsTheFile(t *testing.T) {
	p, file := testPeers(t, server(t, 200, `1`), server(t, 200, `2`))
	count := func() map[int]int {
		seen := map[int]int{}
		for range 10 {
			var out int
			if err := p.Call(t.Context(), "b", "/x", nil, &out); err != nil {
				t.Fatal(err)
			}
			seen[out]++
		}
		return seen
	}
	if got := count(); got[1] != 5 || got[2] != 5 {
		t.Errorf("got %v, want both in turn", got)
	}
	list(t, file, server(t, 200, `3`))
	if err := p.load(); err != nil {
		t.Fatal(err)
	}
	if got := count(); got[3] != 10 {
		t.Errorf("got %v, want the new instance alone", got)
	}
}

func TestCallKeepsTheStatus(t *testing.T) {
	for _, c := range []struct {
		name string
		addr []string
		want int
	}{
		{"answered with an error", []string{server(t, 502, `{"error":"no"}`)}, 502},
		{"nothing listed", nil, 503},
		{"all down", []string{closedAddr(t)}, 502},
	} {
		p, _ := testPeers(t, c.addr...)
		var status *StatusError
		if err := p.Call(t.Context(), "b", "/x", nil, nil); !errors.As(err, &status) || status.Code != c.want {
			t.Errorf("%s: got %v, want status %d", c.name, err, c.want)
		}
	}
}
