package advisories

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// zipped is a zip archive of one document, and of what is none.
func zipped(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for n, text := range map[string][]byte{name: data, "README": []byte("x"), "broken.json": []byte("{")} {
		w, err := z.Create(n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func checker() *Checker {
	return New(Package{Name: "dten", New: "4.2.0", After: []Component{golang("bin/a", gin, "v1.5.0")}}, nil)
}

// rules are the rules of what is found.
func rules(c *Checker) (list []string) {
	for _, f := range c.Findings() {
		list = append(list, f.Rule+" "+f.Severity)
	}
	return list
}

func TestFeeds(t *testing.T) {
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	serve := func(path string, data []byte) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(bytes.ReplaceAll(data, []byte("HOST"), []byte(server.URL)))
		})
	}
	document := sample(t, "GO-2020-0001.json")
	serve("/.well-known/csaf/provider-metadata.json", sample(t, "provider-metadata.json"))
	serve("/.well-known/csaf/feed-tlp-white.json", sample(t, "feed-tlp-white.json"))
	serve("/advisories/csaf/2020/2020-ESA-001.json", document)
	serve("/list/index.txt", []byte("2020/a.json\nb.asc\n\n2020/none.json\n"))
	serve("/list/2020/a.json", document)
	serve("/all.zip", zipped(t, "GO-2020-0001.json", document))
	serve("/dir.json", []byte(`{"canonical_url": "x", "distributions": [{"directory_url": "HOST/list/"}]}`))
	serve("/loop.json", []byte(`{"feed": {"entry": [{"content": {"src": "/loop.json"}}, {"content": {"src": "http://example.invalid/x.json"}}]}}`))
	mux.HandleFunc("/redirect.json", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/redirect.json", http.StatusFound) })
	mux.HandleFunc("/plain.json", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://example.invalid/x", http.StatusFound)
	})
	found := []string{"advisories/vulnerable risk"}
	for _, tt := range []struct {
		path string
		want []string
		what string
	}{
		{"/.well-known/csaf/provider-metadata.json", found, ""},
		{"/list/index.txt", append(found, "advisories/unreadable note"), "the server answers 404"},
		{"/dir.json", append(found, "advisories/unreadable note"), "the server answers 404"},
		{"/all.zip", append(found, "advisories/unreadable note"), "no valid JSON"},
		{"/loop.json", []string{"advisories/unreadable note"}, "only https"},
		{"/none.json", []string{"advisories/unreadable risk"}, "the server answers 404"},
		{"/redirect.json", []string{"advisories/unreadable risk"}, "redirects more than 5"},
		{"/plain.json", []string{"advisories/unreadable risk"}, "only https"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			c := checker()
			source := strings.Replace(server.URL, "https://", "https://user:HUSH@", 1) + tt.path + "?token=HUSH"
			if err := c.AddURL(t.Context(), Feeds{Client: server.Client()}, source); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, rules(c)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			text := fmt.Sprintf("%+v", c.Findings())
			if !strings.Contains(text, tt.what) || strings.Contains(text, "HUSH") {
				t.Errorf("got %s, want %q and no secrets", text, tt.what)
			}
		})
	}
}

func TestFeedsRefused(t *testing.T) {
	for _, source := range []string{"http://user:HUSH@example.invalid/x", "ftp://example.invalid", "https://", "https://user:HUSH@%zz/", "file:///etc/passwd"} {
		err := checker().AddURL(t.Context(), Feeds{}, source)
		if err == nil || strings.Contains(err.Error(), "HUSH") {
			t.Errorf("%s: got %v, want an error without secrets", source, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := checker().AddURL(ctx, Feeds{}, "https://example.invalid/x"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

// An answer that doesn't end is cut off.
func TestFeedTooLarge(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := bytes.Repeat([]byte(" "), 1<<20)
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	c := checker()
	if err := c.AddURL(t.Context(), Feeds{Insecure: true}, server.URL+"/x.json"); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Findings()); !strings.Contains(got, "larger than 64 MiB") {
		t.Errorf("got %s", got)
	}
}

func TestFiles(t *testing.T) {
	document := sample(t, "GO-2020-0001.json")
	dir := t.TempDir()
	for name, data := range map[string][]byte{"a.json": document, "b/all.zip": zipped(t, "x.json", document), "c.txt": []byte("{"), "d.json": []byte("no")} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := checker()
	c.AddFS(os.DirFS(dir))
	if diff := cmp.Diff([]string{"advisories/vulnerable risk", "advisories/unreadable note", "advisories/unreadable note"}, rules(c)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	c = checker()
	c.AddFile(os.DirFS(dir), "b/all.zip")
	c.AddFile(fstest.MapFS{}, "none.json")
	if diff := cmp.Diff([]string{"advisories/vulnerable risk", "advisories/unreadable note", "advisories/unreadable risk"}, rules(c)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The page's examples are read, and its table has the rules that there are.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/preflight/advisories.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```json\n")[1:]
	c := New(Package{Name: "dten", Old: "4.1.3", New: "4.2.0", After: []Component{golang("bin/dten-pay", "example.com/wire", "v1.4.0")}}, nil)
	for i, b := range blocks {
		text, _, _ := strings.Cut(b, "```")
		c.AddDocument(fmt.Sprint("block ", i), []byte(text))
	}
	want := []string{
		"advisories/vulnerable blocker bin/dten-pay: example.com/wire v1.4.0 has CVE-2026-1000 (GO-2026-0001): Frames without an end exhaust memory",
		"advisories/fixed-by-upgrade note : this upgrade fixes CVE-2026-2000 in dten 4.1.3: Orders of others can be read",
	}
	if diff := cmp.Diff(want, told(c)); diff != "" || len(blocks) != 3 {
		t.Errorf("%d blocks (-want +got)\n%s", len(blocks), diff)
	}
	code := ""
	for _, f := range []string{"findings.go", "documents.go"} {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		code += string(b)
	}
	for part := range strings.SplitSeq(code, `"advisories/`) {
		rule, _, ok := strings.Cut(part, `"`)
		if ok && !strings.ContainsAny(rule, " \n") && !strings.Contains(string(page), "`advisories/"+rule+"`") {
			t.Errorf("the page lacks the rule advisories/%s", rule)
		}
	}
}

// BenchmarkExport reads an export of 5,000 documents, of which one concerns the package.
func BenchmarkExport(b *testing.B) {
	document := sample(b, "GO-2020-0001.json")
	var zipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	for i := range 5000 {
		w, err := z.Create(fmt.Sprintf("GO-%d.json", i))
		if err != nil {
			b.Fatal(err)
		}
		text := document
		if i > 0 {
			text = bytes.ReplaceAll(document, []byte("gin-gonic"), fmt.Appendf(nil, "other-%d", i))
		}
		if _, err := w.Write(text); err != nil {
			b.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		b.Fatal(err)
	}
	files := fstest.MapFS{"all.zip": &fstest.MapFile{Data: zipped.Bytes()}}
	dir := b.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c := checker()
		c.AddFile(os.DirFS(dir), "all.zip")
		if got := rules(c); len(got) != 1 {
			b.Fatalf("got %v, want one finding", got)
		}
	}
}
