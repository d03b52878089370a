package web

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"aftershock/flags"
)

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
