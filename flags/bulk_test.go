package flags

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The largest context that is taken, for many flags at once, doesn't cost more
// than the answer is worth.
func TestLargeContextForAllFlags(t *testing.T) {
	var flags, context []string
	for n := range 2000 {
		flags = append(flags, fmt.Sprintf(`"f%d":{"state":"ENABLED","defaultVariant":"off","variants":{"on":true,"off":false},
			"targeting":{"fractional":[["on",25],["off",75]]}}`, n))
	}
	for n := range 40_000 {
		context = append(context, fmt.Sprintf(`"k%d":1`, n))
	}
	_, url := start(t, &memory{}, Config{Definitions: writeFile(t, `{"flags":{`+strings.Join(flags, ",")+`}}`)})
	body := `{"context":{"targetingKey":"u",` + strings.Join(context, ",") + `}}`
	if len(body) > maxRequest || len(body) < maxRequest/2 {
		t.Fatalf("the request has %d bytes", len(body))
	}
	began := time.Now()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/ofrep/v1/evaluate/flags", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	took := time.Since(began)
	if err != nil || res.StatusCode != http.StatusOK || n < 100_000 {
		t.Errorf("got %s with %d bytes, %v", res.Status, n, err)
	}
	t.Logf("took %s", took)
	if took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}
