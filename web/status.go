package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/journal"
	"aftershock/web/access"
	"aftershock/web/channel"
)

// statusPage tells an upgrade's story to people outside; those signed in see more, and
// those on call send what waits.
func (s *Server) statusPage(w http.ResponseWriter, r *http.Request) error {
	v, err := s.o.Channel.Read(r.Context(), r.PathValue("upgrade"), time.Now())
	if err != nil {
		return err
	}
	now := v.Outside()
	data := map[string]any{
		"Title": words.Capital(words.OfUpgrade(v.Upgrade)), "View": v, "Now": now, "Posts": newestFirst(v.Sent),
		"Bad":  now.Step == detector.StepShift || now.Step == detector.StepBufferGone,
		"Good": now.Step == detector.StepFinished || now.Step == detector.StepRecovered || now.Step == detector.StepWatching,
		"Feed": statusPath(v.Upgrade.ID),
	}
	if s.may(r, access.OnCall) {
		data["OnCall"], data["Discarded"] = true, v.Discarded
	}
	if s.may(r, access.OnCall) && len(v.Drafts) > 0 {
		data["Drafts"] = v.Drafts
	} else {
		data["Refresh"] = 30 // nobody is writing
	}
	return s.render(w, r, http.StatusOK, "status.html", data)
}

func statusPath(upgrade string) string { return "/status/" + url.PathEscape(upgrade) }

func newestFirst(sent []journal.StoredPost) []detector.Post {
	out := make([]detector.Post, 0, len(sent))
	for _, p := range slices.Backward(sent) {
		out = append(out, p.Post)
	}
	return out
}

// sendForm sends a draft as a person edited it.
func (s *Server) sendForm(w http.ResponseWriter, r *http.Request) error {
	form, err := s.form(r, access.OnCall)
	if err != nil {
		return err
	}
	e := channel.Edit{Post: r.PathValue("post"), Title: form.Get("title"), Text: form.Get("text"), Actor: s.who(r, form)}
	if e.Title == "" || e.Text == "" {
		return BadRequest("nothing was sent: a post needs a title and a text; go back and write them")
	}
	p, err := s.o.Channel.Send(r.Context(), r.PathValue("upgrade"), e, time.Now())
	if err != nil {
		return err
	}
	http.Redirect(w, r, statusPath(p.Upgrade), http.StatusSeeOther)
	return nil
}

// statusAnswer is an upgrade's part of the channel for machines.
type statusAnswer struct {
	Upgrade string `json:"upgrade"`
	// Title is what people outside call it.
	Title string `json:"title"`
	channel.Now
	Posts []detector.Post `json:"posts"`
	// Inside is how it truly stands, for those signed in; Drafts are for those on call.
	Inside *channel.Now    `json:"inside,omitempty"`
	Drafts []detector.Post `json:"drafts,omitempty"`
	// Discarded are the drafts that were thrown away, for those on call.
	Discarded []detector.Post `json:"discarded,omitempty"`
}

func (s *Server) showStatus(w http.ResponseWriter, r *http.Request) error {
	v, err := s.o.Channel.Read(r.Context(), r.PathValue("id"), time.Now())
	if err != nil {
		return err
	}
	a := statusAnswer{Upgrade: v.Upgrade.ID, Title: words.UpgradeShort(v.Upgrade), Now: v.Outside(), Posts: make([]detector.Post, 0, len(v.Sent))}
	who := s.caller(r).Role
	for _, p := range v.Sent {
		if who == access.None {
			p.Inside, p.Actor, p.Reason, p.CorrectedBy = "", "", "", ""
		}
		a.Posts = append(a.Posts, p.Post)
	}
	if who != access.None {
		a.Inside = &v.Story.Now
	}
	if who.Covers(access.OnCall) {
		a.Drafts, a.Discarded = v.Drafts, v.Discarded
	}
	return answer(w, http.StatusOK, a)
}

// sendStatus sends a draft, in other words where they are given.
func (s *Server) sendStatus(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Post  string `json:"post"`
		Title string `json:"title"`
		Text  string `json:"text"`
		Actor string `json:"actor"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	if in.Post == "" {
		return BadRequest("post is missing: name one of the drafts")
	}
	e := channel.Edit{Post: in.Post, Title: in.Title, Text: in.Text, Actor: s.actor(r, in.Actor)}
	p, err := s.o.Channel.Send(r.Context(), r.PathValue("id"), e, time.Now())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, p)
}

// discardForm and correctForm are what the page sends of a draft, and of what was sent.
func (s *Server) discardForm(w http.ResponseWriter, r *http.Request) error {
	form, err := s.form(r, access.OnCall)
	if err != nil {
		return err
	}
	p, err := s.discard(r, r.PathValue("upgrade"), r.PathValue("post"), form.Get("reason"), s.who(r, form))
	if err != nil {
		return err
	}
	http.Redirect(w, r, statusPath(p.Upgrade), http.StatusSeeOther)
	return nil
}

func (s *Server) correctForm(w http.ResponseWriter, r *http.Request) error {
	form, err := s.form(r, access.OnCall)
	if err != nil {
		return err
	}
	e := channel.Edit{Post: r.PathValue("post"), Title: form.Get("title"), Text: form.Get("text"), Actor: s.who(r, form)}
	p, err := s.correct(r, r.PathValue("upgrade"), e, form.Get("reason"))
	if err != nil {
		return err
	}
	http.Redirect(w, r, statusPath(p.Upgrade), http.StatusSeeOther)
	return nil
}

func (s *Server) discard(r *http.Request, upgrade, post, reason, actor string) (detector.Post, error) {
	if strings.TrimSpace(reason) == "" {
		return detector.Post{}, BadRequest("reason: missing; say why the draft isn't sent")
	}
	return s.o.Channel.Discard(r.Context(), upgrade, post, reason, actor)
}

func (s *Server) correct(r *http.Request, upgrade string, e channel.Edit, reason string) (detector.Post, error) {
	if strings.TrimSpace(e.Text) == "" || strings.TrimSpace(reason) == "" {
		return detector.Post{}, BadRequest("text, reason: missing; say what is right, and why it was wrong")
	}
	return s.o.Channel.Correct(r.Context(), upgrade, e, reason, time.Now())
}

// changing is what the API takes of a draft that is discarded and a post that is corrected.
type changing struct {
	Title  string `json:"title"`
	Text   string `json:"text"`
	Reason string `json:"reason"`
	Actor  string `json:"actor"`
}

func (s *Server) discardPost(w http.ResponseWriter, r *http.Request) error {
	var in changing
	if err := decode(r, &in); err != nil {
		return err
	}
	if in.Title+in.Text != "" {
		return BadRequest("title, text: a draft that is discarded has none of its own")
	}
	p, err := s.discard(r, r.PathValue("id"), r.PathValue("post"), in.Reason, s.actor(r, in.Actor))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, p)
}

func (s *Server) correctPost(w http.ResponseWriter, r *http.Request) error {
	var in changing
	if err := decode(r, &in); err != nil {
		return err
	}
	p, err := s.correct(r, r.PathValue("id"), channel.Edit{Post: r.PathValue("post"), Title: in.Title, Text: in.Text, Actor: s.actor(r, in.Actor)}, in.Reason)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, p)
}

// base is where people reach this server.
func (s *Server) base(r *http.Request) string {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return cmp.Or(trimmed(s.o.Config.ExternalURL), scheme+r.Host)
}
