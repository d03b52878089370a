package web

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"aftershock/flags"
	"aftershock/flags/tuning"
)

const (
	// tunedFor is how long what was tuned for a page stands, and tunedWithin how long a page
	// waits for it.
	tunedFor    = 10 * time.Minute
	tunedWithin = 20 * time.Second
	maxTuned    = 100
)

// tuned keeps the last tuning of each flag that a page showed: it reads a day of telemetry.
type tuned struct {
	mu  sync.Mutex
	all map[string]tunedFlag
}

type tunedFlag struct {
	tuning.Result
	at time.Time
}

func (t *tuned) get(key string) (tunedFlag, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one, ok := t.all[key]
	return one, ok
}

func (t *tuned) put(key string, r tuning.Result, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) >= maxTuned || t.all == nil {
		t.all = map[string]tunedFlag{}
	}
	t.all[key] = tunedFlag{r, at}
}

// tuningPage shows what other constants of a flag would do.
func (s *Server) tuningPage(w http.ResponseWriter, r *http.Request) error {
	v, err := s.o.Switchboard.Show(r.PathValue("key"))
	if err != nil {
		return err
	}
	data := map[string]any{"Title": "Constants of " + v.Key, "Key": v.Key, "Serving": v.Serving}
	one, ok := s.tuned.get(v.Key)
	if !ok || time.Since(one.at) > tunedFor {
		patient(w)
		ctx, cancel := context.WithTimeout(r.Context(), tunedWithin)
		defer cancel()
		t, err := s.o.Switchboard.Tune(ctx, flags.TuneRequest{Flag: v.Key})
		if err != nil && r.Context().Err() != nil {
			return err
		}
		if err != nil { // what was tuned before is better than nothing
			_, data["Problem"] = s.told(r, err)
		} else {
			s.tuned.put(v.Key, t, time.Now())
			one, ok = tunedFlag{t, time.Now()}, true
		}
	}
	if ok {
		data["Tuned"], data["At"] = one.Result, one.at
		data["Chart"] = template.HTML(TuningChart(one.Result)) //nolint:gosec // every text in it went through esc
	}
	return s.render(w, r, http.StatusOK, "tuning.html", data)
}

// tuneFlag answers what other constants of a flag would do.
func (s *Server) tuneFlag(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "hours", "candidates", "format")
	if err != nil {
		return err
	}
	in := flags.TuneRequest{Flag: r.PathValue("key")}
	if text := q.Get("hours"); text != "" {
		hours, err := strconv.ParseFloat(text, 64)
		if err != nil || !(hours > 0) || math.IsInf(hours, 0) || hours > flags.MaxBack.Hours() {
			return BadRequest(fmt.Sprintf("parameter hours: %.40q is no number over 0 and up to %g", text, flags.MaxBack.Hours()))
		}
		in.Back = max(time.Duration(hours*float64(time.Hour)), time.Second)
	}
	if text := q.Get("candidates"); text != "" {
		if err := json.Unmarshal([]byte(text), &in.Candidates); err != nil {
			return BadRequest("parameter candidates: it is no JSON array of objects of constants")
		}
	}
	format := q.Get("format")
	if format != "" && format != "json" && format != "svg" {
		return BadRequest(fmt.Sprintf("parameter format: %.40q is none of json, svg", format))
	}
	patient(w)
	t, err := s.o.Switchboard.Tune(r.Context(), in)
	if err != nil {
		return err
	}
	if format == "svg" {
		w.Header().Set("Content-Type", "image/svg+xml")
		_, _ = w.Write([]byte(TuningChart(t)))
		return nil
	}
	return answer(w, http.StatusOK, t)
}
