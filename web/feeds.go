package web

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/web/channel"
)

// statusEvents is the route of the event stream of an upgrade's posts.
const statusEvents = "GET /status/{upgrade}/events"

func trimmed(base string) string { return strings.TrimRight(base, "/") }

// feedOf is an upgrade's part of the channel with the address of its page.
func (s *Server) feedOf(r *http.Request) (v channel.View, page string, err error) {
	if _, err := query(r); err != nil {
		return v, "", err
	}
	v, err = s.o.Channel.Read(r.Context(), r.PathValue("upgrade"), time.Now())
	return v, s.base(r) + statusPath(v.Upgrade.ID), err
}

// tag names a post, wherever it is read; an empty one the feed.
func tag(upgrade, post string) string {
	return "tag:aftershock,2026:" + url.PathEscape(upgrade) + "/" + url.PathEscape(post)
}

// Parts of an Atom feed (RFC 4287).
type (
	atomFeed struct {
		XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
		ID      string      `xml:"id"`
		Title   string      `xml:"title"`
		Updated time.Time   `xml:"updated"`
		Author  string      `xml:"author>name"`
		Links   []atomLink  `xml:"link"`
		Entries []atomEntry `xml:"entry"`
	}
	atomLink struct {
		Rel  string `xml:"rel,attr"`
		Type string `xml:"type,attr"`
		Href string `xml:"href,attr"`
	}
	atomEntry struct {
		ID        string    `xml:"id"`
		Title     string    `xml:"title"`
		Published time.Time `xml:"published"`
		Updated   time.Time `xml:"updated"`
		Link      atomLink  `xml:"link"`
		Content   string    `xml:"content"` // its type is text where none is said
	}
)

func (s *Server) statusAtom(w http.ResponseWriter, r *http.Request) error {
	v, page, err := s.feedOf(r)
	if err != nil {
		return err
	}
	f := atomFeed{
		ID: tag(v.Upgrade.ID, ""), Title: words.Capital(words.OfUpgrade(v.Upgrade)), Updated: v.Upgrade.Begins().UTC(), Author: "Aftershock",
		Links: []atomLink{{"self", "application/atom+xml", page + "/feed.atom"}, {"alternate", "text/html", page}},
	}
	for _, p := range newestFirst(v.Sent) {
		if len(f.Entries) == 0 {
			f.Updated = p.SentAt
		}
		if p.CorrectedAt.After(f.Updated) {
			f.Updated = p.CorrectedAt
		}
		f.Entries = append(f.Entries, atomEntry{tag(p.Upgrade, p.ID), p.Title, p.SentAt, p.Changed(), atomLink{"alternate", "text/html", page}, p.Text})
	}
	b, err := xml.MarshalIndent(f, "", " ")
	if err != nil {
		return fmt.Errorf("write the feed: %w", err)
	}
	return fed(w, "application/atom+xml; charset=utf-8", append([]byte(xml.Header), b...))
}

// Parts of a JSON Feed, version 1.1.
type (
	jsonFeed struct {
		Version string     `json:"version"`
		Title   string     `json:"title"`
		Home    string     `json:"home_page_url"`
		Self    string     `json:"feed_url"`
		Items   []feedItem `json:"items"`
	}
	feedItem struct {
		ID        string    `json:"id"`
		URL       string    `json:"url"`
		Title     string    `json:"title"`
		Text      string    `json:"content_text"`
		Published time.Time `json:"date_published"`
		Modified  time.Time `json:"date_modified,omitzero"`
		// More is what the format doesn't know.
		More feedMore `json:"_aftershock"`
	}
	feedMore struct {
		Step detector.Step `json:"step"`
		At   time.Time     `json:"at"`
	}
)

func itemOf(p detector.Post, page string) feedItem {
	return feedItem{tag(p.Upgrade, p.ID), page, p.Title, p.Text, p.SentAt, p.CorrectedAt, feedMore{p.Step, p.At}}
}

func (s *Server) statusFeed(w http.ResponseWriter, r *http.Request) error {
	v, page, err := s.feedOf(r)
	if err != nil {
		return err
	}
	f := jsonFeed{"https://jsonfeed.org/version/1.1", words.Capital(words.OfUpgrade(v.Upgrade)), page, page + "/feed.json", []feedItem{}}
	for _, p := range newestFirst(v.Sent) {
		f.Items = append(f.Items, itemOf(p, page))
	}
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write the feed: %w", err)
	}
	return fed(w, "application/feed+json", append(b, '\n'))
}

func fed(w http.ResponseWriter, kind string, body []byte) error {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(body)
	return nil
}

// Bounds of the event streams.
const (
	streamLength = time.Hour       // until its reader has to connect again
	streamPoll   = 5 * time.Second // for what another daemon sent
)

// statusStream tells each post as an event when it is sent, those before after the last
// that the reader knows.
func (s *Server) statusStream(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	if err := s.streams.enter(w, "too many readers follow the status channel: try again later, or read its feed"); err != nil {
		return err
	}
	defer s.streams.leave()
	u, err := s.o.Journal.Upgrade(r.Context(), r.PathValue("upgrade"))
	if err != nil {
		return err
	}
	begin(w)
	seen, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	if err != nil {
		seen = 0
	}
	s.follow(w, r, u.ID, seen)
	return nil
}

// follow writes events until somebody goes.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, upgrade string, seen int64) {
	over := time.NewTimer(streamLength)
	defer over.Stop()
	poll := time.NewTicker(streamPoll)
	defer poll.Stop()
	page, quiet := s.base(r)+statusPath(upgrade), time.Now()
	text := "retry: 5000\n\n" // a reader that lost the stream tries again after so many milliseconds
	for {
		changed := s.o.Channel.Changed()
		posts, err := s.o.Journal.Posts(r.Context(), upgrade, seen)
		if err != nil {
			return
		}
		for _, p := range posts {
			seen = p.Seq
			if p.SentAt.IsZero() {
				continue
			}
			b, err := json.Marshal(itemOf(p.Post, page))
			if err != nil {
				return
			}
			text += fmt.Sprintf("id: %d\nevent: post\ndata: %s\n\n", p.Seq, b)
		}
		if text == "" && time.Since(quiet) >= streamIdle {
			text = ":\n\n"
		}
		if text != "" {
			quiet = time.Now()
			if !pushed(w, text) {
				return
			}
		}
		text = ""
		select {
		case <-changed:
		case <-poll.C:
		case <-over.C:
			return
		case <-s.streams.ending:
			return
		case <-r.Context().Done():
			return
		}
	}
}
