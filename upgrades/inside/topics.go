package inside

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// vocabulary is what a change of tail latency or of load on others is made of:
// the words, and how names are spelt that mean them.
var vocabulary = []struct {
	word   string
	spelt  []string
	except []string
}{
	{"retry", []string{"retry", "retri", "redeliver"}, []string{"retrie"}},
	{"backoff", []string{"backoff", "back_off", "back-off"}, nil},
	{"timeout", []string{"timeout", "time_out", "timedout"}, nil},
	{"deadline", []string{"deadline"}, nil},
	{"jitter", []string{"jitter"}, nil},
	{"attempt", []string{"attempt"}, nil},
	{"pool", []string{"pool", "maxidle", "maxopen", "maxconn", "max_conn"}, nil},
	{"limit", []string{"limit", "throttl", "semaphore", "breaker"}, nil},
}

// touches gives the words of the vocabulary that a name has.
func touches(name string) (words []string) {
	low := strings.ToLower(name)
	for _, v := range vocabulary {
		for _, e := range v.except {
			// "retrieve" is no retry.
			low = strings.ReplaceAll(low, e+"v", "")
		}
		for _, s := range v.spelt {
			if strings.Contains(low, s) {
				words = append(words, v.word)
				break
			}
		}
	}
	return words
}

// topics collects what of a change touches which word, in the vocabulary's order.
func topics(d *Difference) []Topic {
	where := map[string][]string{}
	add := func(place string, names ...string) {
		for _, n := range names {
			for _, w := range touches(n) {
				if !slices.Contains(where[w], place) && len(where[w]) < 100 {
					where[w] = append(where[w], place)
				}
			}
		}
	}
	for _, list := range [][]string{d.Functions.Changed, d.Functions.Added, d.Functions.Removed} {
		for _, n := range list {
			add("function "+n, n)
		}
	}
	for _, k := range d.Constants {
		add("constant in "+k.Where, append([]string{k.Where}, k.UsedBy...)...)
	}
	for _, k := range d.Constants {
		// Where code was inlined, or nothing has a name, a wait is all that shows.
		if isDuration(k.Old) && isDuration(k.New) && len(where["wait"]) < 100 {
			where["wait"] = append(where["wait"], "constant in "+k.Where)
		}
	}
	for _, k := range d.Callees {
		add("callees of "+k.Function, slices.Concat(k.Added, k.Removed)...)
	}
	for _, m := range d.Modules {
		add("module "+m.Path, m.Path)
	}
	for _, n := range slices.Concat(d.Configuration.Added, d.Configuration.Removed) {
		add("setting "+n, n)
	}
	for _, n := range slices.Concat(d.Strings.Added, d.Strings.Removed) {
		if len(n) <= 200 {
			add(fmt.Sprintf("string %q", n), n)
		}
	}
	out := []Topic{}
	for _, v := range vocabulary {
		if l := where[v.word]; len(l) > 0 {
			out = append(out, Topic{v.word, l})
		}
	}
	if l := where["wait"]; len(l) > 0 {
		out = append(out, Topic{"wait", l})
	}
	return out
}

// isDuration says whether a constant is written as one.
func isDuration(s string) bool {
	_, err := time.ParseDuration(s)
	return err == nil && s != "0"
}

// order puts first what touches the vocabulary.
func (d *Difference) order() {
	rank := func(names ...string) int {
		for _, n := range names {
			if len(touches(n)) > 0 {
				return 0
			}
		}
		return 1
	}
	names := func(list []string) {
		slices.SortStableFunc(list, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	}
	for _, l := range [][]string{
		d.Functions.Added, d.Functions.Removed, d.Functions.Changed, d.Strings.Added, d.Strings.Removed, d.Configuration.Added, d.Configuration.Removed,
	} {
		names(l)
	}
	slices.SortStableFunc(d.Constants, func(a, b Move) int {
		return cmp.Compare(rank(append(a.UsedBy, a.Where)...), rank(append(b.UsedBy, b.Where)...))
	})
	slices.SortStableFunc(d.Modules, func(a, b Module) int { return cmp.Compare(rank(a.Path), rank(b.Path)) })
	slices.SortStableFunc(d.Callees, func(a, b CalleesOf) int {
		return cmp.Compare(rank(slices.Concat([]string{a.Function}, a.Added, a.Removed)...), rank(slices.Concat([]string{b.Function}, b.Added, b.Removed)...))
	})
}

// Touches are the words of the vocabulary that the change touches: evidence that
// it can have moved retries, waits or limits.
func (d Difference) Touches() []string {
	words := []string{}
	for _, t := range d.Topics {
		words = append(words, t.Word)
	}
	return words
}
