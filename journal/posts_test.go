package journal

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"aftershock/detector"
)

func post(id string) detector.Post {
	return detector.Post{Upgrade: "u", ID: id, Step: detector.StepWindow, At: noon, Title: "Upgrade under way", Text: "It began.", Inside: "pay 1 → 2"}
}

// keys are the keys of the jobs that aren't done.
func keys(t *testing.T, j *Journal) (out []string) {
	t.Helper()
	for _, s := range must[[]JobStatus](t)(j.Jobs(t.Context(), 100)) {
		out = append(out, s.Key)
	}
	return out
}

func testPosts(t *testing.T, p place) {
	j := p.open(t)
	draft, auto := post("shift-1"), post("window")
	auto.Actor, auto.SentAt = "aftershock", noon.Add(time.Minute)
	job := func(key string) Job { return Job{Kind: "status", Key: key} }
	for range 2 { // again, as after a crash
		first := must[bool](t)(j.PutPost(t.Context(), auto, job("window|mail")))
		second := must[bool](t)(j.PutPost(t.Context(), draft, job("never")))
		if first != second {
			t.Errorf("fresh: %t and %t", first, second)
		}
	}
	equal(t, "jobs", keys(t, j), []string{"window|mail"})
	sent := draft
	sent.Text, sent.Actor, sent.SentAt, sent.Edited = "It is slow.", "ann", noon.Add(time.Hour), true
	if err := j.SendPost(t.Context(), sent, job("shift|mail")); err != nil {
		t.Fatal(err)
	}
	if err := j.SendPost(t.Context(), sent, job("twice")); !errors.Is(err, ErrConflict) {
		t.Errorf("sent again: %v", err)
	}
	unknown := sent
	unknown.ID = "shift-9"
	if err := j.SendPost(t.Context(), unknown); !errors.Is(err, ErrNotFound) {
		t.Errorf("sent without a draft: %v", err)
	}
	if err := j.SendPost(t.Context(), draft); !errors.Is(err, ErrInvalid) {
		t.Errorf("sent by nobody: %v", err)
	}
	equal(t, "jobs", keys(t, j), []string{"shift|mail", "window|mail"})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = p.open(t)
	var got []detector.Post
	all := must[[]StoredPost](t)(j.Posts(t.Context(), "u", 0))
	for _, s := range all {
		got = append(got, s.Post)
	}
	equal(t, "posts", got, []detector.Post{post("window"), auto, draft, sent})
	equal(t, "later posts", must[[]StoredPost](t)(j.Posts(t.Context(), "u", all[2].Seq)), all[3:])
	equal(t, "posts of another", must[[]StoredPost](t)(j.Posts(t.Context(), "v", 0)), []StoredPost(nil))
}

// However many send it at once, one does.
func testPostsRace(t *testing.T, p place) {
	j := p.open(t)
	must[bool](t)(j.PutPost(t.Context(), post("shift-1")))
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for n := range errs {
		wg.Go(func() {
			sent := post("shift-1")
			sent.Actor, sent.SentAt = "ann", noon
			errs[n] = j.SendPost(t.Context(), sent)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, ErrConflict) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d sent it", won)
	}
}

func testPostsAppendOnly(t *testing.T, p place) {
	j := p.open(t)
	must[bool](t)(j.PutPost(t.Context(), post("window")))
	statements := []string{`UPDATE posts SET at_us = 0`, `DELETE FROM posts`}
	if p.config.URL != "" {
		statements = append(statements, `TRUNCATE posts`)
	}
	for _, s := range statements {
		err := j.db.write(t.Context(), func(x tx) error {
			_, err := x.exec(t.Context(), s)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: got %v, want a refusal", s, err)
		}
	}
	if rows(t, j, "posts") != 1 {
		t.Error("the table lost its row")
	}
}
