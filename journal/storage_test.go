package journal

import (
	"testing"
)

func testStorage(t *testing.T, p place) {
	j := p.open(t)
	before := must[Storage](t)(j.Storage(t.Context()))
	commit(t, j, tick())
	if err := j.Enqueue(t.Context(), Job{Kind: "x", Key: "a"}, Job{Kind: "x", Key: "b"}); err != nil {
		t.Fatal(err)
	}
	got := must[Storage](t)(j.Storage(t.Context()))
	kind := "SQLite"
	if p.config.URL != "" {
		kind = "PostgreSQL"
	}
	if got.Kind != kind || got.Bytes < 50_000 || got.Bytes > 500_000_000 {
		t.Errorf("got %+v, want %s of a plausible size", got, kind)
	}
	equal(t, "jobs", got.Jobs[JobWaiting]-before.Jobs[JobWaiting], 3)
	if len(got.Jobs) != 5 {
		t.Errorf("not every state is counted: %v", got.Jobs)
	}
}
