package channel

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/flags"
	"aftershock/journal"
)

// JobStatus is the kind of the jobs that bring a Delivery to a receiver.
const JobStatus = "status"

// Delivery is the payload of a job: a post for a receiver.
type Delivery struct {
	Receiver string        `json:"receiver"`
	Post     detector.Post `json:"post"`
}

// Journal is what a channel reads, and where it keeps its posts.
type Journal interface {
	Upgrades(ctx context.Context, p journal.Page) ([]detector.Upgrade, string, error)
	Upgrade(ctx context.Context, id string) (detector.Upgrade, error)
	Alerts(ctx context.Context, q journal.AlertQuery) ([]detector.Alert, string, error)
	Toggles(ctx context.Context, flag string, limit int) ([]detector.Toggle, error)
	Posts(ctx context.Context, upgrade string, after int64) ([]journal.StoredPost, error)
	PutPost(ctx context.Context, p detector.Post, jobs ...journal.Job) (bool, error)
	SendPost(ctx context.Context, p detector.Post, jobs ...journal.Job) error
	DiscardPost(ctx context.Context, p detector.Post) error
	CorrectPost(ctx context.Context, p detector.Post, jobs ...journal.Job) error
	Said(ctx context.Context, alerts ...string) (map[string]detector.Said, error)
}

// Options are the parts that a channel is made of.
type Options struct {
	Config  Config
	Journal Journal
	// Watch is how long upgrades are watched.
	Watch time.Duration
	// Gates say which flags gate which binaries.
	Gates func() []flags.Gate
	// Gone tells people on call that an upgrade has used up its buffer; told twice, it
	// goes out once.
	Gone func(ctx context.Context, u detector.Upgrade, p detector.Post) error
	Log  logrus.FieldLogger
}

// Channel keeps the posts of all upgrades. Its methods may be called at once.
type Channel struct {
	o Options

	mu      sync.Mutex
	changed chan struct{}
}

// New makes a channel.
func New(o Options) *Channel { return &Channel{o: o, changed: make(chan struct{})} }

const (
	// every is how often is looked whether there is something new to tell.
	every = 10 * time.Second
	// latest is how long after a step its post may go out by itself: what is older is no
	// news, and left to a person.
	latest = 2 * time.Hour
	// maxBack is how long after its watch ended an upgrade is looked at, maxUpgrades how
	// many of the last are.
	maxBack     = day
	maxUpgrades = 200
	// Bounds of what a person writes, in characters.
	MaxTitle = words.HeadlineLen
	MaxText  = 2000
	// itself is who sends what goes out by itself.
	itself = "aftershock"
)

// Run puts down what is new until ctx ends.
func (c *Channel) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := c.Advance(ctx, time.Now()); err != nil && ctx.Err() == nil {
			c.o.Log.WithError(err).Error("the status channel can't be brought up to date; trying again")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Advance puts down every post that there is to tell by now and that isn't known yet.
func (c *Channel) Advance(ctx context.Context, now time.Time) error {
	all, _, err := c.o.Journal.Upgrades(ctx, journal.Page{Limit: maxUpgrades})
	if err != nil {
		return err
	}
	toggles, err := c.o.Journal.Toggles(ctx, "", 1000)
	if err != nil {
		return err
	}
	var errs []error
	for _, u := range all {
		if u.ClosedAt.IsZero() || now.Sub(u.ClosedAt) < maxBack {
			errs = append(errs, c.advance(ctx, u, toggles, now))
		}
	}
	return errors.Join(errs...)
}

func (c *Channel) advance(ctx context.Context, u detector.Upgrade, toggles []detector.Toggle, now time.Time) error {
	story, err := c.story(ctx, u, toggles, now)
	if err != nil {
		return err
	}
	known, err := c.o.Journal.Posts(ctx, u.ID, 0)
	if err != nil {
		return err
	}
	for _, p := range story.Posts {
		planned := p.Step == detector.StepPlanned
		if slices.ContainsFunc(known, func(k journal.StoredPost) bool { return k.ID == p.ID }) || planned && u.Begun() || !planned && p.At.After(now) {
			continue
		}
		if err := c.put(ctx, u, p, now); err != nil {
			return err
		}
	}
	return c.withdraw(ctx, story, known)
}

// withdraw discards the drafts of what turned out to be a false alarm.
func (c *Channel) withdraw(ctx context.Context, story Story, known []journal.StoredPost) error {
	_, drafts, _ := sorted(known)
	for _, p := range drafts {
		about := p.Step == detector.StepShift || p.Step == detector.StepMitigated || p.Step == detector.StepRecovered
		if !about || slices.ContainsFunc(story.Posts, func(q detector.Post) bool { return q.ID == p.ID }) {
			continue
		}
		p.Discarded, p.Actor, p.Reason = true, itself, "what it tells of was marked as a false alarm"
		if err := c.o.Journal.DiscardPost(ctx, p); err != nil && !errors.Is(err, journal.ErrConflict) {
			return err
		}
		c.announce()
	}
	return nil
}

// put puts down a post. People on call are told first: should the daemon die in between,
// that is known by its key the next time.
func (c *Channel) put(ctx context.Context, u detector.Upgrade, p detector.Post, now time.Time) error {
	news := now.Sub(p.At) < latest
	if p.Step == detector.StepBufferGone && news {
		if err := c.o.Gone(ctx, u, p); err != nil {
			return err
		}
	}
	var jobs []journal.Job
	if news && c.o.Config.auto(p) {
		var err error
		p.Actor, p.SentAt = itself, now.UTC()
		if jobs, err = c.jobs(p); err != nil {
			return err
		}
	}
	fresh, err := c.o.Journal.PutPost(ctx, p, jobs...)
	if err == nil && fresh {
		c.o.Log.WithFields(logrus.Fields{"upgrade": p.Upgrade, "post": p.ID, "sent": !p.SentAt.IsZero()}).Info("the status channel has a new post")
		c.announce()
	}
	return err
}

func (c *Channel) jobs(p detector.Post) ([]journal.Job, error) {
	p.Inside, p.Reason, p.CorrectedBy = "", "", ""
	var jobs []journal.Job
	for _, receiver := range c.o.Config.Receivers {
		b, err := json.Marshal(Delivery{receiver, p})
		if err != nil {
			return nil, fmt.Errorf("write down a delivery of post %s: %w", p.ID, err)
		}
		jobs = append(jobs, journal.Job{Kind: JobStatus, Key: p.Upgrade + "|" + p.ID + "|" + receiver + p.Correction(), Payload: b})
	}
	return jobs, nil
}

// story tells an upgrade's story from the journal.
func (c *Channel) story(ctx context.Context, u detector.Upgrade, toggles []detector.Toggle, now time.Time) (Story, error) {
	alerts, _, err := c.o.Journal.Alerts(ctx, journal.AlertQuery{Upgrade: u.ID, Page: journal.Page{Limit: 1000}})
	if err != nil {
		return Story{}, err
	}
	f := Facts{Upgrade: u, Alerts: alerts, Toggles: toggles, Watch: c.o.Watch}
	keys := make([]string, len(alerts))
	for n, a := range alerts {
		keys[n] = a.Key
	}
	said, err := c.o.Journal.Said(ctx, keys...)
	if err != nil {
		return Story{}, err
	}
	f.False = map[string]bool{}
	for key, s := range said {
		f.False[key] = s.Mark != nil && s.Mark.False
	}
	for _, g := range c.o.Gates() {
		if slices.ContainsFunc(u.Binaries, func(b detector.Binary) bool { return detector.SameBinary(b.Name, g.Binary) }) {
			f.Flags = append(f.Flags, g.Flag)
		}
	}
	return Tell(f, now), nil
}

// View is an upgrade's part of the channel.
type View struct {
	Upgrade detector.Upgrade
	Story   Story
	// Sent are the posts that were sent, in order of that; Drafts those that wait for a
	// person.
	Sent   []journal.StoredPost
	Drafts []detector.Post
	// Discarded are the drafts that were thrown away.
	Discarded []detector.Post
}

// sorted parts what the journal has of an upgrade: each post in its last words, in the
// order of sending.
func sorted(all []journal.StoredPost) (sent []journal.StoredPost, drafts, discarded []detector.Post) {
	settled := map[string]bool{}
	for _, p := range all {
		at := slices.IndexFunc(sent, func(q journal.StoredPost) bool { return q.ID == p.ID })
		switch {
		case p.Discarded:
			settled[p.ID] = true
			discarded = append(discarded, p.Post)
		case p.SentAt.IsZero():
		case at >= 0:
			sent[at] = p
		default:
			settled[p.ID] = true
			sent = append(sent, p)
		}
	}
	for _, p := range all {
		if !settled[p.ID] {
			drafts = append(drafts, p.Post)
		}
	}
	return sent, drafts, discarded
}

// Outside is the present step as far as it was told.
func (v View) Outside() Now {
	sent := make([]detector.Post, 0, len(v.Sent))
	for _, p := range v.Sent {
		sent = append(sent, p.Post)
	}
	return v.Story.Outside(sent)
}

// Read gives an upgrade's part of the channel at an instant.
func (c *Channel) Read(ctx context.Context, upgrade string, now time.Time) (v View, err error) {
	if v.Upgrade, err = c.o.Journal.Upgrade(ctx, upgrade); err != nil {
		return v, err
	}
	toggles, err := c.o.Journal.Toggles(ctx, "", 1000)
	if err != nil {
		return v, err
	}
	if v.Story, err = c.story(ctx, v.Upgrade, toggles, now); err != nil {
		return v, err
	}
	all, err := c.o.Journal.Posts(ctx, upgrade, 0)
	if err != nil {
		return v, err
	}
	v.Sent, v.Drafts, v.Discarded = sorted(all)
	return v, nil
}

// Edit is what a person sends: a draft, in other words where they are given.
type Edit struct {
	Post        string
	Title, Text string
	Actor       string
}

// Send sends a draft, once.
func (c *Channel) Send(ctx context.Context, upgrade string, e Edit, now time.Time) (detector.Post, error) {
	all, err := c.o.Journal.Posts(ctx, upgrade, 0)
	if err != nil {
		return detector.Post{}, err
	}
	i := slices.IndexFunc(all, func(p journal.StoredPost) bool { return p.ID == e.Post && p.SentAt.IsZero() })
	if i < 0 {
		return detector.Post{}, fmt.Errorf("send post %.100q of upgrade %.100q: there is no such draft: %w", e.Post, upgrade, journal.ErrNotFound)
	}
	p := all[i].Post
	title, text := cmp.Or(words.Clean(e.Title, MaxTitle), p.Title), cmp.Or(words.Clean(e.Text, MaxText), p.Text)
	p.Edited = title != p.Title || text != p.Text
	p.Title, p.Text, p.Actor, p.SentAt = title, text, words.Name(e.Actor), now.UTC()
	jobs, err := c.jobs(p)
	if err != nil {
		return p, err
	}
	if err := c.o.Journal.SendPost(ctx, p, jobs...); err != nil {
		return p, err
	}
	c.o.Log.WithFields(logrus.Fields{"upgrade": p.Upgrade, "post": p.ID, "actor": p.Actor}).Info("a person sent a post of the status channel")
	c.announce()
	return p, nil
}

// Discard throws a draft away, once, with a reason.
func (c *Channel) Discard(ctx context.Context, upgrade, post, reason, actor string) (detector.Post, error) {
	all, err := c.o.Journal.Posts(ctx, upgrade, 0)
	if err != nil {
		return detector.Post{}, err
	}
	i := slices.IndexFunc(all, func(p journal.StoredPost) bool { return p.ID == post })
	if i < 0 {
		return detector.Post{}, fmt.Errorf("discard post %.100q of upgrade %.100q: there is no such draft: %w", post, upgrade, journal.ErrNotFound)
	}
	p := all[i].Post
	p.Discarded, p.Reason, p.Actor = true, words.Clean(reason, MaxText), words.Name(actor)
	if err := c.o.Journal.DiscardPost(ctx, p); err != nil {
		return p, err
	}
	c.o.Log.WithFields(logrus.Fields{"upgrade": p.Upgrade, "post": p.ID, "actor": p.Actor}).Info("a person discarded a draft of the status channel")
	c.announce()
	return p, nil
}

// Correct sends other words for a post that was sent. The earlier ones stay readable.
func (c *Channel) Correct(ctx context.Context, upgrade string, e Edit, reason string, now time.Time) (detector.Post, error) {
	all, err := c.o.Journal.Posts(ctx, upgrade, 0)
	if err != nil {
		return detector.Post{}, err
	}
	sent, _, _ := sorted(all)
	i := slices.IndexFunc(sent, func(p journal.StoredPost) bool { return p.ID == e.Post })
	if i < 0 {
		return detector.Post{}, fmt.Errorf("correct post %.100q of upgrade %.100q: it wasn't sent: %w", e.Post, upgrade, journal.ErrNotFound)
	}
	p := sent[i].Post
	p.Earlier = append(slices.Clone(p.Earlier), p.Text)
	p.Title, p.Text = cmp.Or(words.Clean(e.Title, MaxTitle), p.Title), words.Clean(e.Text, MaxText)
	p.CorrectedAt, p.CorrectedBy, p.Reason = now.UTC(), words.Name(e.Actor), words.Clean(reason, MaxText)
	jobs, err := c.jobs(p)
	if err != nil {
		return p, err
	}
	if err := c.o.Journal.CorrectPost(ctx, p, jobs...); err != nil {
		return p, err
	}
	c.o.Log.WithFields(logrus.Fields{"upgrade": p.Upgrade, "post": p.ID, "actor": p.CorrectedBy}).Info("a person corrected a post of the status channel")
	c.announce()
	return p, nil
}

// Changed is closed when there is something new.
func (c *Channel) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *Channel) announce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}
