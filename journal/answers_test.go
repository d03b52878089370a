package journal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// claim claims a key at a time, and says what was there.
func claim(t *testing.T, j *Journal, caller, key string, at time.Time) (Answer, bool) {
	t.Helper()
	there, claimed, err := j.ClaimAnswer(t.Context(), Answer{Caller: caller, Key: key, At: at, Digest: "d", Toggle: "t-" + key})
	if err != nil {
		t.Fatal(err)
	}
	return there, claimed
}

func testAnswers(t *testing.T, p place) {
	j := p.open(t)
	for _, caller := range []string{"ana", "bob"} {
		if there, claimed := claim(t, j, caller, "k\x00'1", noon); !claimed || there.Toggle != "t-k\x00'1" {
			t.Errorf("the first claim of %s: got %+v, %v", caller, there, claimed)
		}
	}
	done := Answer{
		Caller: "ana", Key: "k\x00'1", At: noon, Digest: "d", Toggle: "t", Status: 200, Type: "application/json", Location: "/x",
		Body: []byte("{\"a\":\"\x00\xff\"}\n"),
	}
	if err := j.PutAnswer(t.Context(), done); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = p.open(t)
	there, claimed := claim(t, j, "ana", "k\x00'1", noon.Add(time.Hour))
	if claimed {
		t.Error("a key was claimed twice")
	}
	equal(t, "the answer, over a restart", there, done)
	if there, claimed := claim(t, j, "bob", "k\x00'1", noon); claimed || there.Status != 0 {
		t.Errorf("another caller's: got %+v, %v, want their own claim", there, claimed)
	}
	if err := j.DropAnswer(t.Context(), Answer{Caller: "bob", Key: "k\x00'1"}); err != nil {
		t.Fatal(err)
	}
	if _, claimed := claim(t, j, "bob", "k\x00'1", noon); !claimed {
		t.Error("a dropped claim still holds")
	}
	if _, _, err := j.ClaimAnswer(t.Context(), Answer{Caller: "ana", At: noon, Digest: "d"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a claim without a key: %v", err)
	}
}

func testAnswersBounded(t *testing.T, p place) {
	j := p.open(t)
	claim(t, j, "bob", "old", noon.Add(-answersAge))
	claim(t, j, "bob", "young", noon.Add(time.Minute-answersAge))
	const beyond = 3
	for n := range maxAnswers + beyond {
		claim(t, j, "ana", fmt.Sprint(n), noon.Add(time.Duration(n)*time.Millisecond))
	}
	if n := rows(t, j, "answers"); n != maxAnswers+1 {
		t.Errorf("%d claims are kept, want %d of one caller and the young one of the other", n, maxAnswers)
	}
	late := noon.Add(10 * time.Second)
	if _, claimed := claim(t, j, "ana", fmt.Sprint(beyond), late); claimed {
		t.Error("the last thousand are not all there")
	}
	if _, claimed := claim(t, j, "bob", "young", noon); claimed {
		t.Error("a claim of less than a day is gone")
	}
	if _, claimed := claim(t, j, "bob", "old", late); !claimed {
		t.Error("a claim is kept for longer than a day")
	}
}

func testAnswersRace(t *testing.T, p place) {
	j := p.open(t)
	var claims atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, claimed, err := j.ClaimAnswer(t.Context(), Answer{Caller: "ana", Key: "k", At: noon, Digest: "d"})
			if err != nil {
				t.Error(err)
			}
			if claimed {
				claims.Add(1)
			}
		})
	}
	all.Wait()
	if n := claims.Load(); n != 1 {
		t.Errorf("one key was claimed %d times", n)
	}
}
