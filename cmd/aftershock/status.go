package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"aftershock/alerts"
	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/flags"
	"aftershock/journal"
	"aftershock/web/channel"
)

// newChannel makes the channel that tells people outside of upgrades.
func (d *daemon) newChannel() *channel.Channel {
	return channel.New(channel.Options{
		Config: d.cfg.Status, Journal: d.journal, Watch: d.cfg.Watch.Duration,
		Gates: func() []flags.Gate { return d.board.Rules().Gates },
		Gone:  d.bufferGone, Log: d.log.WithField("part", "channel"),
	})
}

// bufferGone tells people on call that an upgrade takes longer than its buffer.
func (d *daemon) bufferGone(ctx context.Context, u detector.Upgrade, p detector.Post) error {
	return d.notice(ctx, "upgrade/"+u.ID+"/"+p.ID, u.ID, p.At, detector.Notice{
		Text:    fmt.Sprintf("%s isn't known to be done, and its buffer is used up since %s", words.Capital(words.OfUpgrade(u)), words.Time(p.At)),
		Command: "aftershock upgrades status " + words.Shell(u.ID),
		Page:    statusPath(u.ID),
	})
}

func statusPath(upgrade string) string { return "/status/" + url.PathEscape(upgrade) }

// sendPost brings a post to a receiver.
func (d *daemon) sendPost(ctx context.Context, j journal.Job) error {
	var in channel.Delivery
	if err := json.Unmarshal(j.Payload, &in); err != nil {
		return journal.Permanent(fmt.Errorf("read the delivery: %w", err))
	}
	p := in.Post
	name := words.Name(p.Upgrade)
	if u, err := d.journal.Upgrade(ctx, p.Upgrade); err == nil {
		name = words.UpgradeShort(u)
	}
	title := name + ": " + p.Title
	if len(p.Earlier) > 0 {
		title = "Correction of what was said of " + title
	}
	err := d.sender.Load().Report(ctx, in.Receiver, alerts.Report{
		Key: "status/" + p.Upgrade + "/" + p.ID + p.Correction(), Title: title, Lines: []string{p.Text},
		Page: statusPath(p.Upgrade), At: p.Changed(),
	})
	var failed interface{ Permanent() bool }
	if errors.As(err, &failed) && failed.Permanent() {
		return journal.Permanent(err)
	}
	return err
}
