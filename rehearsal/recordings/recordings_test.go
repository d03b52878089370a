package recordings

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aftershock/rehearsal"
)

const har = `{"log": {"version": "1.2", "creator": {"name": "browser", "nested": [1, {"entries": 2}]}, "entries": [
 {"startedDateTime": "2026-03-06T09:00:00Z", "request": {"method": "GET", "url": "https://shop.example:8443/orders/7?full=1&access_token=s3cret&q=a%20b",
   "headers": [{"name": ":authority", "value": "shop.example"}, {"name": "Cookie", "value": "sid=s3cret"}, {"name": "Authorization", "value": "Bearer s3cret"},
     {"name": "Accept", "value": "text/html"}, {"name": "X-Api-Key", "value": "s3cret"}, {"name": "X-Custom", "value": "s3cret"}, {"name": "Host", "value": "shop.example"}]},
  "response": {"content": {"text": "large"}}},
 {"request": {"method": "post", "url": "https://shop.example/place", "headers": [], "postData": {"mimeType": "application/json", "text": "{\"n\":1}"}}},
 {"request": {"method": "POST", "url": "https://shop.example/form", "headers": [], "postData": {"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]}}},
 {"request": {"method": "POST", "url": "https://shop.example/upload", "headers": [], "postData": {"mimeType": "multipart/form-data", "params": [{"name": "a", "value": "1"}]}}},
 {"request": {"method": "GET", "url": "data:text/plain,x", "headers": []}},
 {"request": {"method": "GET", "url": 7, "headers": []}}
]}}`

func TestHAR(t *testing.T) {
	t.Parallel()
	r, err := Parse([]byte(har), false)
	if err != nil {
		t.Fatal(err)
	}
	want := []rehearsal.Recorded{
		{Method: "GET", Target: "/orders/7?full=1&q=a%20b", Headers: map[string]string{"Accept": "text/html"}},
		{Method: "POST", Target: "/place", Headers: map[string]string{"Content-Type": "application/json"}, Body: `{"n":1}`},
		{Method: "POST", Target: "/form", Headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, Body: "a=1&b=2"},
	}
	if diff := cmp.Diff(want, r.Requests); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if r.Skipped != 3 || r.Dropped != 5 {
		t.Errorf("skipped %d and dropped %d, want the form, the data URL and the number, and 4 headers and a parameter", r.Skipped, r.Dropped)
	}
	kept, err := Parse([]byte(har), true)
	if err != nil {
		t.Fatal(err)
	}
	q := kept.Requests[0]
	if !strings.Contains(q.Target, "s3cret") || q.Headers["Cookie"] == "" || q.Headers["Authorization"] == "" || q.Headers["Host"] != "" {
		t.Errorf("asked to keep secrets it kept %+v", q)
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	const text = `127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326
2001:db8::1 - - [06/Mar/2026:09:00:00 +0000] "POST /place?a=1&token=s3cret HTTP/1.1" 201 12 "https://shop.example/" "Mozilla/5.0 (X11; \"quoted\")"
10.0.0.1 - - [06/Mar/2026:09:00:00 +0000] "GET http://shop.example/abs?x=y HTTP/1.1" 304 0 "-" "-"
10.0.0.1 - - [06/Mar/2026:09:00:01 +0000] "\x16\x03\x01\x02\x00" 400 150 "-" "-"
10.0.0.1 - - [06/Mar/2026:09:00:01 +0000] "GET /gave-up HTTP/1.1" 499 0 "-" "-"
10.0.0.1 - - [06/Mar/2026:09:00:01 +0000] "CONNECT evil:443 HTTP/1.1" 200 0 "-" "-"
10.0.0.1 - - [06/Mar/2026:09:00:01 +0000] "GET /a\x22b HTTP/1.1" 200 0 "-" "-"

nonsense
`
	r, err := Parse([]byte(text), false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, q := range r.Requests {
		got = append(got, q.Method+" "+q.Target)
	}
	if diff := cmp.Diff([]string{"GET /apache_pb.gif", "POST /place?a=1", "GET /abs?x=y", "GET /a%22b"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if r.Skipped != 4 || r.Dropped != 1 {
		t.Errorf("skipped %d and dropped %d, want 4 and 1", r.Skipped, r.Dropped)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	line := `10.0.0.1 - - [06/Mar/2026:09:00:01 +0000] "GET /a HTTP/1.1" 200 0 "-" "-"` + "\n"
	r, err := Parse([]byte(strings.Repeat(line, maxRequests+5)), false)
	if err != nil || len(r.Requests) != maxRequests || !r.More {
		t.Errorf("%d requests, more %t, %v", len(r.Requests), r.More, err)
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(make([]byte, 1<<20))
	w.Close()
	if _, err := readAll(&z, 1<<19); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a bomb: got %v", err)
	}
	for _, text := range []string{"", "nonsense", `{"log": 1}`, `{"log": {"entries": {}}}`, `{"log": {"entries": []}}`, `{"log": {"entries": [{]}}`} {
		if _, err := Parse([]byte(text), false); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

// fit holds that requests are such as can be sent, whatever was recorded.
func fit(t *testing.T, data []byte) {
	r, err := Parse(data, false)
	if err != nil {
		return
	}
	for _, q := range r.Requests {
		p := rehearsal.Profile{Routes: []rehearsal.Route{{
			Route: "/", Path: q.Target, Method: q.Method, Rate: 1, Headers: q.Headers, Body: q.Body,
		}}}
		if errs := p.Validate(); len(errs) > 0 {
			t.Fatalf("%+v: %v", q, errs)
		}
		for n := range q.Headers {
			if strings.EqualFold(n, "cookie") || strings.EqualFold(n, "authorization") {
				t.Fatalf("%+v has a secret", q)
			}
		}
	}
}

func FuzzHAR(f *testing.F) {
	f.Add([]byte(har))
	f.Add([]byte(`{"log":{"entries":[{"request":{"method":"GET","url":"http://a//b?c;d=%zz#e","headers":[{"name":"accept","value":"\u0000"}]}}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) { fit(t, data) })
}

func FuzzAccessLog(f *testing.F) {
	f.Add([]byte(`a - - [b] "GET //evil/x?a=b#c HTTP/1.1" 200 1`))
	f.Add([]byte(`a - - [b] "GET /\x41\"%2f HTTP/1.1" 200 1 "r" "u"`))
	f.Fuzz(func(t *testing.T, data []byte) { fit(t, data) })
}
