package promapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"aftershock/sources/series"
)

// maxNamesBody bounds the list of all metric names, in bytes.
const maxNamesBody = 64 << 20

// namesOf gives the wanted metric names that have samples between two times,
// as the server knew them a little while ago at most.
func (s *Source) namesOf(ctx context.Context, from, to time.Time) ([]string, error) {
	s.mu.Lock()
	list := s.names
	s.mu.Unlock()
	if time.Since(list.read) < namesFor && !from.Before(list.from) && !to.After(list.to) {
		return list.names, nil
	}
	list = nameList{from: from.Truncate(namesStep), to: to.Truncate(namesStep).Add(namesStep), read: time.Now()}
	all, err := s.allNames(ctx, list.from, list.to)
	if err != nil {
		return nil, err
	}
	for _, name := range all {
		if series.Wanted(name) {
			list.names = append(list.names, name)
		}
	}
	slices.Sort(list.names)
	list.names = slices.Compact(list.names)
	if len(list.names) > maxNames {
		return nil, fmt.Errorf("read the metric names of %s: more than %d of %d are of use: too many for one daemon", s.base, maxNames, len(all))
	}
	s.mu.Lock()
	s.names = list
	s.mu.Unlock()
	return list.names, nil
}

func (s *Source) allNames(ctx context.Context, from, to time.Time) ([]string, error) {
	var names []string
	err := s.do(ctx, call{
		way: "names", path: "/api/v1/label/__name__/values",
		form: url.Values{"start": {seconds(from.UnixMilli())}, "end": {seconds(to.UnixMilli())}},
		read: func(resp *http.Response) error {
			var answer struct {
				Status string
				Data   []string
			}
			if err := json.NewDecoder(io.LimitReader(resp.Body, maxNamesBody)).Decode(&answer); err != nil {
				return broken("the list of metric names isn't whole or isn't JSON: %w", err)
			}
			if answer.Status != "success" {
				return broken("the list of metric names has the status %q", answer.Status)
			}
			names = answer.Data
			return nil
		},
	})
	return names, err
}

// seconds writes milliseconds as the API takes them.
func seconds(ms int64) string {
	return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64)
}

// alternation is the regular expression that matches just these names.
func alternation(names []string) string {
	quoted := make([]string, len(names))
	for n, name := range names {
		quoted[n] = regexp.QuoteMeta(name)
	}
	return strings.Join(quoted, "|")
}

// selector is the PromQL selector for these names.
func selector(names []string) string {
	if len(names) == 1 {
		return "{__name__=" + strconv.Quote(names[0]) + "}"
	}
	return "{__name__=~" + strconv.Quote(alternation(names)) + "}"
}
