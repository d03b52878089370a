package web_test

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/journal"
	"aftershock/web"
	"aftershock/web/webtest"
)

// channelOf is a server with the story, whose channel is up to date. The window and the end
// of the upgrade are old, and wait as drafts with the shift.
func channelOf(t testing.TB, change ...func(*web.Options)) *webtest.Server {
	t.Helper()
	s := story(t, change...)
	if err := s.Channel.Advance(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	return s
}

const statusPage = "/status/" + webtest.UpgradeID

// People outside see what was sent, those signed in what it is about, and those on call what
// waits, which they may edit and send, once.
func TestStatusPage(t *testing.T) {
	s := channelOf(t)
	cookie := signIn(t, s)
	outside := ask(t, "GET", s.URL+statusPage, "")
	if outside.StatusCode != 200 || !strings.Contains(outside.body, "Nothing has been told of this upgrade yet.") || strings.Contains(outside.body, "<textarea") {
		t.Errorf("before anything was sent: %d %s", outside.StatusCode, outside.body)
	}
	inside := ask(t, "GET", s.URL+statusPage, "", "Cookie", cookie)
	if !strings.Contains(inside.body, "Not told outside yet: Something does worse.") || !strings.Contains(inside.body, `action="/status/dten-4.2.0/shift-1"`) || strings.Contains(inside.body, `http-equiv="refresh"`) {
		t.Errorf("on call: %s", inside.body)
	}
	wellFormed(t, "on call", inside.body)
	if page := ask(t, "GET", s.URL+"/upgrades/"+webtest.UpgradeID, ""); !strings.Contains(page.body, `href="`+statusPage+`"`) {
		t.Error("the upgrade's page doesn't lead there")
	}
	form := url.Values{"title": {"Paying is slow"}, "text": {"Paying takes <b>longer</b>\u202e than usual."}, "actor": {"ana"}}
	if got := post(t, s.URL+statusPage+"/shift-1", form); got.StatusCode != 401 {
		t.Errorf("sent by nobody: %d", got.StatusCode)
	}
	if got := post(t, s.URL+statusPage+"/shift-1", form, "Cookie", cookie, "Sec-Fetch-Site", "cross-site"); got.StatusCode != 403 {
		t.Errorf("sent from another site: %d", got.StatusCode)
	}
	if got := post(t, s.URL+statusPage+"/shift-1", url.Values{"title": {"x"}}, "Cookie", cookie); got.StatusCode != 400 {
		t.Errorf("sent without a text: %d", got.StatusCode)
	}
	if got := post(t, s.URL+statusPage+"/shift-1", form, "Cookie", cookie); got.StatusCode != 303 || got.Header.Get("Location") != statusPage {
		t.Errorf("sent: %d %v", got.StatusCode, got.Header)
	}
	if got := post(t, s.URL+statusPage+"/shift-1", form, "Cookie", cookie); got.StatusCode != 409 || !strings.Contains(got.body, "sent already") {
		t.Errorf("sent again: %d %s", got.StatusCode, got.body)
	}
	outside = ask(t, "GET", s.URL+statusPage, "")
	for _, want := range []string{`class="answer bad"`, "Paying is slow", "Paying takes &lt;b&gt;longer&lt;/b&gt; than usual.", `href="/status/dten-4.2.0/feed.atom"`, `http-equiv="refresh"`} {
		if !strings.Contains(outside.body, want) {
			t.Errorf("outside lacks %q", want)
		}
	}
	for _, secret := range []string{"dten-payments", "dten-checkout", "p-1", "ana", "checkout", "/upgrades/", "acme"} {
		if strings.Contains(outside.body, secret) {
			t.Errorf("outside is told of %q", secret)
		}
	}
	wellFormed(t, "outside", outside.body)
	inside = ask(t, "GET", s.URL+statusPage, "", "Cookie", cookie)
	for _, want := range []string{"sent by ana, edited", "dten-payments 4.1.3 → 4.2.0"} {
		if !strings.Contains(inside.body, want) {
			t.Errorf("inside lacks %q", want)
		}
	}
	if got := ask(t, "GET", s.URL+"/status/nope", ""); got.StatusCode != 404 {
		t.Errorf("of no upgrade: %d", got.StatusCode)
	}
}

func TestStatusByAPI(t *testing.T) {
	s := channelOf(t)
	path := "/api/v1/upgrades/" + webtest.UpgradeID + "/status"
	for _, tc := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"post":"window","text":"It runs.","actor":"ana"}`, 200, `"text":"It runs.","inside":"dten-checkout 4.1.3 → 4.2.0`},
		{`{"post":"window","actor":"bob"}`, 409, "sent already"},
		{`{"post":"lunch"}`, 404, "no such draft"},
		{`{"text":"x"}`, 400, "post is missing"},
		{`{"post":"finished","texts":"x"}`, 400, "texts"},
	} {
		got := ask(t, "POST", s.URL+path, tc.body, "Authorization", bearer)
		if got.StatusCode != tc.status || !strings.Contains(got.body, tc.want) {
			t.Errorf("%s: %d %s, want %d with %s", tc.body, got.StatusCode, got.body, tc.status, tc.want)
		}
		described(t, "POST", path, got)
	}
	outside, onCall := ask(t, "GET", s.URL+path, ""), ask(t, "GET", s.URL+path, "", "Authorization", bearer)
	described(t, "GET", path, outside)
	described(t, "GET", path, onCall)
	if want := `"step":"window","line":"Upgrade under way","posts":[`; !strings.Contains(outside.body, want) {
		t.Errorf("outside: %s, want %s", outside.body, want)
	}
	for _, secret := range []string{"dten-payments", "ana", "drafts", `"inside"`} {
		if strings.Contains(outside.body, secret) || !strings.Contains(onCall.body, secret) {
			t.Errorf("%q: outside %t, on call %t", secret, strings.Contains(outside.body, secret), strings.Contains(onCall.body, secret))
		}
	}
}

// feedOfAtom is what the tests read of an Atom feed.
type feedOfAtom struct {
	XMLName xml.Name  `xml:"http://www.w3.org/2005/Atom feed"`
	ID      string    `xml:"http://www.w3.org/2005/Atom id"`
	Title   string    `xml:"http://www.w3.org/2005/Atom title"`
	Updated time.Time `xml:"http://www.w3.org/2005/Atom updated"`
	Author  []string  `xml:"http://www.w3.org/2005/Atom author>name"`
	Links   []struct {
		Rel  string `xml:"rel,attr"`
		Href string `xml:"href,attr"`
	} `xml:"http://www.w3.org/2005/Atom link"`
	Entries []struct {
		ID      string    `xml:"http://www.w3.org/2005/Atom id"`
		Title   string    `xml:"http://www.w3.org/2005/Atom title"`
		Updated time.Time `xml:"http://www.w3.org/2005/Atom updated"`
		Content string    `xml:"http://www.w3.org/2005/Atom content"`
	} `xml:"http://www.w3.org/2005/Atom entry"`
}

// Feeds hold what RFC 4287 and JSON Feed 1.1 want, also of an upgrade and a person who mean
// to break them.
func TestFeeds(t *testing.T) {
	s := webtest.Start(t, func(o *web.Options) { o.Config.ExternalURL = "https://status.example.org/" })
	id := `a&b<c>"d'?#%`
	at := time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	s.Tell(t, journal.Tick{Time: at, Upgrades: []detector.Upgrade{{ID: id, StartedAt: at, FinishedAt: at.Add(time.Minute), Binaries: []detector.Binary{{Name: "secret-binary"}}}}})
	if err := s.Channel.Advance(t.Context(), at.Add(61*time.Minute)); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"title": {`]]><script>x</script>`}, "text": {"\x00\ufffe&amp; \"</content>"}, "actor": {"ana"}}
	if got := post(t, s.URL+"/status/"+url.PathEscape(id)+"/watching", form, "Cookie", signIn(t, s)); got.StatusCode != 303 {
		t.Fatalf("send: %d %s", got.StatusCode, got.body)
	}
	base := "/status/" + url.PathEscape(id)
	got := ask(t, "GET", s.URL+base+"/feed.atom", "")
	var f feedOfAtom
	if err := xml.Unmarshal([]byte(got.body), &f); err != nil {
		t.Fatalf("%v in %s", err, got.body)
	}
	page := "https://status.example.org" + base
	if got.Header.Get("Content-Type") != "application/atom+xml; charset=utf-8" || f.Title != "Upgrade "+id || len(f.Author) != 1 || f.Author[0] == "" || len(f.Entries) != 3 || f.Updated != f.Entries[0].Updated {
		t.Errorf("feed: %v %+v", got.Header, f)
	}
	if len(f.Links) != 2 || f.Links[0].Rel != "self" || f.Links[0].Href != page+"/feed.atom" || f.Links[1].Rel != "alternate" || f.Links[1].Href != page {
		t.Errorf("links: %+v", f.Links)
	}
	ids := map[string]bool{f.ID: true}
	for _, e := range f.Entries {
		if u, err := url.Parse(e.ID); err != nil || u.Scheme != "tag" || ids[e.ID] || e.Title == "" || e.Content == "" || e.Updated.IsZero() {
			t.Errorf("entry: %+v (%v)", e, err)
		}
		ids[e.ID] = true
	}
	if e := f.Entries[0]; e.Title != `]]><script>x</script>` || !strings.HasSuffix(e.Content, `&amp; "</content>`) {
		t.Errorf("the hostile entry: %+v", e)
	}
	asJSON := ask(t, "GET", s.URL+base+"/feed.json", "")
	var j struct {
		Version string `json:"version"`
		Title   string `json:"title"`
		Home    string `json:"home_page_url"`
		Self    string `json:"feed_url"`
		Items   []struct {
			ID        string    `json:"id"`
			Text      string    `json:"content_text"`
			Published time.Time `json:"date_published"`
		} `json:"items"`
	}
	if err := json.Unmarshal([]byte(asJSON.body), &j); err != nil {
		t.Fatal(err)
	}
	if j.Version != "https://jsonfeed.org/version/1.1" || j.Title == "" || j.Home != page || j.Self != page+"/feed.json" || len(j.Items) != 3 || asJSON.Header.Get("Content-Type") != "application/feed+json" {
		t.Errorf("feed: %v %+v", asJSON.Header, j)
	}
	for n, i := range j.Items {
		if i.ID != f.Entries[n].ID || i.Text == "" || i.Published.IsZero() {
			t.Errorf("item: %+v", i)
		}
	}
	if strings.Contains(got.body+asJSON.body, "secret-binary") || strings.Contains(got.body+asJSON.body, "ana") {
		t.Error("a feed holds what is for those inside")
	}
	wellFormed(t, "hostile", ask(t, "GET", s.URL+base, "").body)
	for _, path := range []string{"/status/nope/feed.atom", "/status/nope/feed.json", "/status/nope/events"} {
		if got := ask(t, "GET", s.URL+path, ""); got.StatusCode != 404 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}

// The stream tells what was sent, then what is sent, and goes on where a reader lost it.
func TestStatusStream(t *testing.T) {
	s := channelOf(t)
	send := func(id string) {
		if got := ask(t, "POST", s.URL+"/api/v1/upgrades/"+webtest.UpgradeID+"/status", `{"post":"`+id+`"}`, "Authorization", bearer); got.StatusCode != 200 {
			t.Fatalf("send %s: %d %s", id, got.StatusCode, got.body)
		}
	}
	open := func(seen string) *bufio.Scanner {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+statusPage+"/events", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Last-Event-ID", seen)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("stream: %d %v", resp.StatusCode, resp.Header)
		}
		return bufio.NewScanner(resp.Body)
	}
	next := func(lines *bufio.Scanner) (id, data string) {
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				id = value
			case "data":
				return id, value
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return "", ""
	}
	send("window")
	lines := open("")
	first, data := next(lines)
	if !strings.Contains(data, `"step":"window"`) || strings.Contains(data, "dten-payments") {
		t.Errorf("first: %s", data)
	}
	began := time.Now()
	send("finished")
	if _, data := next(lines); !strings.Contains(data, `"step":"finished"`) || time.Since(began) > 4*time.Second {
		t.Errorf("then, after %s: %s", time.Since(began), data)
	}
	if _, data := next(open(first)); !strings.Contains(data, `"step":"finished"`) {
		t.Errorf("gone on with: %s", data)
	}
	if err := s.Stop(); err != nil {
		t.Errorf("streams hold up the end: %v", err)
	}
}

// A draft that was discarded is told to nobody outside; a correction keeps the earlier words.
func TestStatusCorrections(t *testing.T) {
	s := channelOf(t)
	cookie, api := signIn(t, s), s.URL+"/api/v1/upgrades/"+webtest.UpgradeID+"/status"
	for _, tc := range []struct {
		path string
		form url.Values
		want int
	}{
		{"/shift-1", url.Values{"title": {"Paying is slow"}, "text": {"Refunds take longer."}, "actor": {"ana"}}, 303},
		{"/shift-1/correct", url.Values{"title": {"Paying is slow"}, "text": {"Payments take longer, refunds don't."}, "reason": {"mixed up"}, "actor": {"bo"}}, 303},
		{"/shift-1/correct", url.Values{"text": {"x"}}, 400},
		{"/shift-1/discard", url.Values{"reason": {"too late"}}, 409},
		{"/finished/discard", url.Values{"actor": {"ana"}}, 400},
		{"/finished/discard", url.Values{"reason": {"they know"}, "actor": {"ana"}}, 303},
		{"/finished/correct", url.Values{"text": {"x"}, "reason": {"y"}}, 404},
		{"/finished", url.Values{"title": {"x"}, "text": {"y"}}, 409},
	} {
		if got := post(t, s.URL+statusPage+tc.path, tc.form, "Cookie", cookie); got.StatusCode != tc.want {
			t.Errorf("%s %v: %d %s", tc.path, tc.form, got.StatusCode, got.body)
		}
	}
	outside := ask(t, "GET", s.URL+statusPage, "")
	wellFormed(t, "outside", outside.body)
	for _, want := range []string{"Payments take longer, refunds don&#39;t.", "What it said before", "Refunds take longer.", "Corrected "} {
		if !strings.Contains(outside.body, want) {
			t.Errorf("outside lacks %q", want)
		}
	}
	for _, secret := range []string{"mixed up", "they know", ">bo<", "Discarded", "/correct"} {
		if strings.Contains(outside.body, secret) {
			t.Errorf("outside is told of %q", secret)
		}
	}
	inside := ask(t, "GET", s.URL+statusPage, "", "Cookie", cookie)
	wellFormed(t, "inside", inside.body)
	for _, want := range []string{"by bo: mixed up", "by ana: they know", `action="/status/dten-4.2.0/shift-1/correct"`} {
		if !strings.Contains(inside.body, want) {
			t.Errorf("inside lacks %q", want)
		}
	}
	var feed struct {
		Entries []struct {
			ID                 string `xml:"id"`
			Content            string `xml:"content"`
			Published, Updated time.Time
		} `xml:"entry"`
	}
	atom := ask(t, "GET", s.URL+statusPage+"/feed.atom", "")
	if err := xml.Unmarshal([]byte(strings.ReplaceAll(strings.ReplaceAll(atom.body, "published>", "Published>"), "updated>", "Updated>")), &feed); err != nil || len(feed.Entries) != 1 {
		t.Fatalf("feed: %v %s", err, atom.body)
	}
	if e := feed.Entries[0]; !e.Updated.After(e.Published) || !strings.HasSuffix(e.ID, "/shift-1") || !strings.HasPrefix(e.Content, "Payments") {
		t.Errorf("entry %+v", e)
	}
	if again := ask(t, "GET", s.URL+statusPage+"/feed.atom", "", "If-None-Match", atom.Header.Get("ETag")); again.StatusCode != 304 {
		t.Errorf("the same feed again: %d", again.StatusCode)
	}
	if got := ask(t, "GET", s.URL+statusPage+"/feed.json", ""); !strings.Contains(got.body, `"date_modified":`) || got.Header.Get("ETag") == "" {
		t.Errorf("JSON Feed: %s", got.body)
	}
	got := ask(t, "POST", api+"/shift-1/correct", `{"text":"It is over.","reason":"late"}`, "Authorization", bearer)
	described(t, "POST", "/api/v1/upgrades/x/status/y/correct", got)
	var p detector.Post
	if got.decode(t, &p); len(p.Earlier) != 2 || p.Earlier[1] != "Payments take longer, refunds don't." {
		t.Errorf("corrected again: %s", got.body)
	}
	public := ask(t, "GET", api, "")
	described(t, "GET", "/api/v1/upgrades/x/status", public)
	if strings.Contains(public.body, "mixed up") || strings.Contains(public.body, "corrected_by") {
		t.Errorf("the API tells outside: %s", public.body)
	}
}

// What was marked as a false alarm isn't told, and its draft is withdrawn.
func TestFalseAlarmsAreNotTold(t *testing.T) {
	s := channelOf(t)
	cookie := signIn(t, s)
	for _, a := range webtest.Story(time.Now()).Alerts {
		if got := ask(t, "POST", s.URL+"/api/v1/alerts/"+url.PathEscape(a.Key)+"/mark", `{"mark":"false","actor":"ana"}`, "Authorization", bearer); got.StatusCode != 200 {
			t.Fatal(got.body)
		}
	}
	if err := s.Channel.Advance(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	page := ask(t, "GET", s.URL+statusPage, "", "Cookie", cookie)
	if strings.Contains(page.body, `action="/status/dten-4.2.0/shift-1"`) || !strings.Contains(page.body, "by aftershock: what it tells of was marked as a false alarm") {
		t.Errorf("the draft stands: %s", page.body)
	}
}
