package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"aftershock/internal/servers"
	"aftershock/journal"
	"aftershock/reports"
)

// owe makes the daemon of a home owe the review of last week, and gives its name: the
// setting holds one before it, as if the daemon had been down since.
func (h *home) owe(t *testing.T, w *reports.Weekly) string {
	t.Helper()
	due := w.Due(time.Now())
	log := logrus.New()
	log.SetOutput(t.Output())
	j, err := journal.Open(t.Context(), journal.Config{}, h.data, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := j.PutSetting(t.Context(), weeklyDone, due.Before(1).Name); err != nil {
		t.Fatal(err)
	}
	return due.Name
}

// The review of a week that was due while the daemon was down is written and mailed at
// its next start, once, and not again after a crash.
func TestDaemonSendsTheWeek(t *testing.T) {
	t.Parallel()
	f, smtp := newFleet(t), servers.SMTP(t)
	receivers := fmt.Sprintf(`[{name: team, mail: {smarthost: "%s", from: aftershock@example.org, to: [team@example.org], tls_config: {ca_file: %s}}}]`, smtp.Addr, smtp.CAFile)
	h := newHome(t, config("", f.scraped(), receivers)+`reports: {weekly: {dir: weeks, forms: [html, md], receivers: [team]}}`+"\n")
	h.file("flags.json", definitions)
	if err := os.MkdirAll(h.data, 0o755); err != nil {
		t.Fatal(err)
	}
	w := reports.Weekly{}
	w.SetDefaults()
	name := h.owe(t, &w)
	p := h.start()
	paths := []string{filepath.Join(h.dir, "weeks", "week-"+name+".html"), filepath.Join(h.dir, "weeks", "week-"+name+".md")}
	wait(t, 30*time.Second, "the review to be written and mailed", func() error {
		for _, path := range paths {
			if _, err := os.Stat(path); err != nil {
				return err
			}
		}
		if n := len(smtp.Mails()); n != 1 {
			return fmt.Errorf("%d mails", n)
		}
		return nil
	})
	page, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := attached(t, smtp.Mails()[0].Text, "week-"+name+".html"); !bytes.Equal(got, page) {
		t.Errorf("the mail has a page of %d bytes with it, the directory one of %d", len(got), len(page))
	}
	p.kill()
	p = h.start()
	wait(t, 30*time.Second, "a step after the crash", func() error {
		if p.metric("aftershock_watch_frames_total") < 1 {
			return fmt.Errorf("none yet")
		}
		return nil
	})
	// A mail that was taken just before the crash may come once more, under its own ID.
	ids := map[string]bool{}
	for _, m := range smtp.Mails() {
		_, rest, _ := bytes.Cut(m.Text, []byte("Message-ID: "))
		id, _, _ := bytes.Cut(rest, []byte("\r\n"))
		ids[string(id)] = true
	}
	if n := len(smtp.Mails()); len(ids) != 1 || n > 2 {
		t.Errorf("%d mails with the IDs %v after a crash, want one", n, ids)
	}
}

// The first start of a daemon owes nobody anything.
func TestDaemonOwesNoWeekAtFirst(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	h := newHome(t, config("", f.scraped(), "[]")+`reports: {weekly: {dir: weeks}}`+"\n")
	h.file("flags.json", definitions)
	p := h.start()
	var setting string
	w := reports.Weekly{}
	w.SetDefaults()
	wait(t, 30*time.Second, "the daemon to be at work", func() error {
		if p.metric("aftershock_watch_frames_total") < 1 {
			return fmt.Errorf("no step yet")
		}
		return nil
	})
	p.kill()
	log := logrus.New()
	log.SetOutput(t.Output())
	j, err := journal.Open(t.Context(), journal.Config{}, h.data, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if setting, err = j.Setting(t.Context(), weeklyDone); err != nil || setting != w.Due(time.Now()).Name {
		t.Errorf("the last week sent off is %q (%v), want the one that was due", setting, err)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "weeks")); err == nil {
		t.Error("a review was written")
	}
}

// attached is the file of that name in a mail.
func attached(t *testing.T, text []byte, name string) []byte {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if subject := m.Header.Get("Subject"); !strings.Contains(subject, "Post-upgrade review of week") {
		t.Errorf("the subject is %q", subject)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextPart()
		if err != nil {
			t.Fatalf("the mail has no file %s: %v", name, err)
		}
		if part.FileName() == name {
			return decoded(t, part)
		}
	}
}

// decoded undoes the encoding of a part, of those that mails have.
func decoded(t *testing.T, part *multipart.Part) []byte {
	t.Helper()
	var from io.Reader = part
	switch part.Header.Get("Content-Transfer-Encoding") {
	case "base64":
		from = base64.NewDecoder(base64.StdEncoding, part)
	case "quoted-printable":
		from = quotedprintable.NewReader(part)
	}
	b, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
