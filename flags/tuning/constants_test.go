package tuning

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	named := map[string]any{"strategy": "linear", "base_ms": 20, "max_attempts": 3, "timeout_ms": 2000}
	for _, tt := range []struct {
		name, object string
		beneath      map[string]any
		want         Constants
		ignored      []string
		err          string
	}{
		{
			"whole", `{"strategy":"exponential","base_ms":40,"cap_ms":200,"factor":3,"jitter":0.2,"max_attempts":3,"slow_ms":150,"timeout_ms":2000,"deadline_ms":5000}`, nil,
			Constants{Exponential, 40, 200, 3, Jitter{"", 0.2}, 3, 150, 2000, 5000},
			nil, "",
		},
		{"defaults", `{"base_ms":40,"max_attempts":3}`, nil, Constants{Exponential, 40, maxMS, 2, Jitter{}, 3, 0, 0, 0}, nil, ""},
		{"named jitter", `{"base_ms":40,"max_attempts":3,"jitter":"full"}`, nil, Constants{Exponential, 40, maxMS, 2, Jitter{"full", 0}, 3, 0, 0, 0}, nil, ""},
		{"no jitter", `{"base_ms":40,"max_attempts":3,"jitter":"none"}`, nil, Constants{Exponential, 40, maxMS, 2, Jitter{}, 3, 0, 0, 0}, nil, ""},
		{"a name that stands for constants", `{"strategy":"legacy"}`, named, Constants{Linear, 20, maxMS, 2, Jitter{}, 3, 0, 2000, 0}, nil, ""},
		{"own before those beneath", `{"strategy":"constant","base_ms":30}`, named, Constants{Constant, 30, maxMS, 2, Jitter{}, 3, 0, 2000, 0}, nil, ""},
		{"others ignored", `{"base_ms":1,"max_attempts":1,"log":true,"colour":"red"}`, nil, Constants{Exponential, 1, maxMS, 2, Jitter{}, 1, 0, 0, 0}, []string{"colour", "log"}, ""},

		{"a name alone", `{"strategy":"legacy"}`, nil, Constants{}, nil, "base_ms is missing"},
		{"a name unknown", `{"strategy":"legacy","base_ms":1,"max_attempts":2}`, nil, Constants{}, nil, `"legacy" is none of`},
		{"no object", `[1]`, nil, Constants{}, nil, "aren't a JSON object"},
		{"null", `null`, nil, Constants{}, nil, "aren't a JSON object"},
		{"more than one", `{"base_ms":1,"max_attempts":2} {}`, nil, Constants{}, nil, "something after"},
		{"no attempt", `{"base_ms":1,"max_attempts":0}`, nil, Constants{}, nil, "isn't within 1..20"},
		{"a billion attempts", `{"base_ms":1,"max_attempts":1000000000}`, nil, Constants{}, nil, "isn't within 1..20"},
		{"half an attempt", `{"base_ms":1,"max_attempts":2.5}`, nil, Constants{}, nil, "2.5 is no value"},
		{"negative", `{"base_ms":-1,"max_attempts":2}`, nil, Constants{}, nil, "base_ms: -1 isn't within"},
		{"huge", `{"base_ms":1,"cap_ms":1e300,"max_attempts":2}`, nil, Constants{}, nil, "cap_ms: 1e+300 isn't within"},
		{"too huge for a number", `{"base_ms":1e999,"max_attempts":2}`, nil, Constants{}, nil, "is no value for it"},
		{"not a number", `{"base_ms":"NaN","max_attempts":2}`, nil, Constants{}, nil, "is no value for it"},
		{"shrinking", `{"base_ms":1,"factor":0.5,"max_attempts":2}`, nil, Constants{}, nil, "factor: 0.5 isn't within"},
		{"cap under base", `{"base_ms":10,"cap_ms":5,"max_attempts":2}`, nil, Constants{}, nil, "less than base_ms"},
		{"jitter", `{"base_ms":10,"jitter":"much","max_attempts":2}`, nil, Constants{}, nil, `"much" is none of`},
		{"jitter over 1", `{"base_ms":10,"jitter":1.5,"max_attempts":2}`, nil, Constants{}, nil, "jitter: 1.5 isn't within"},
		{"not a number beneath", `{"base_ms":10,"max_attempts":2}`, map[string]any{"factor": math.NaN()}, Constants{}, nil, "can't be written"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ignored, err := Parse([]byte(tt.object), tt.beneath)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") {
					t.Fatalf("got %+v, %v, want an error of one line with %q", got, err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want || !cmp.Equal(ignored, tt.ignored) {
				t.Errorf("got %+v, %v, %v, want %+v, %v", got, ignored, err, tt.want, tt.ignored)
			}
		})
	}
}

// FuzzParse: constants that are taken are within their bounds, give sound waits,
// and are the same after being written and read.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"strategy":"linear","base_ms":20,"max_attempts":3,"jitter":"full"}`), uint64(1))
	f.Add([]byte(`{"base_ms":1e9,"cap_ms":-1,"factor":null,"max_attempts":1e9}`), uint64(2))
	f.Fuzz(func(t *testing.T, object []byte, seed uint64) {
		c, _, err := Parse(object, nil)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 300 {
				t.Errorf("got %q, want one short line", err)
			}
			return
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		wait := c.BaseMS
		for n := 1; n < c.MaxAttempts; n++ {
			wait = c.wait(n, wait, rng.Float64())
			if !(wait >= 0 && wait <= 2*c.CapMS) {
				t.Fatalf("wait %d of %+v is %g ms", n, c, wait)
			}
		}
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if again, _, err := Parse(b, nil); err != nil || again != c {
			t.Errorf("%s became %+v, %v, want %+v", b, again, err, c)
		}
	})
}

// TestWaits holds the waits to the definitions of their strategies.
func TestWaits(t *testing.T) {
	base := Constants{Strategy: Exponential, BaseMS: 100, CapMS: 350, Factor: 2, MaxAttempts: 5}
	with := func(change func(*Constants)) Constants { c := base; change(&c); return c }
	for _, tt := range []struct {
		name      string
		c         Constants
		retry     int
		before, u float64
		want      float64
	}{
		{"first", base, 1, 0, 0, 100},
		{"second", base, 2, 0, 0, 200},
		{"capped", base, 3, 0, 0, 350},
		{"constant", with(func(c *Constants) { c.Strategy = Constant }), 4, 0, 0, 100},
		{"linear", with(func(c *Constants) { c.Strategy = Linear }), 3, 0, 0, 300},
		{"full", with(func(c *Constants) { c.Jitter.Name = Full }), 2, 0, 0.25, 50},
		{"equal", with(func(c *Constants) { c.Jitter.Name = Equal }), 2, 0, 0.5, 150},
		{"spread", with(func(c *Constants) { c.Jitter.Spread = 0.5 }), 2, 0, 0, 100},
		{"decorrelated", with(func(c *Constants) { c.Jitter.Name = Decorrelated }), 2, 110, 0.5, 215},
		{"decorrelated, capped", with(func(c *Constants) { c.Jitter.Name = Decorrelated }), 2, 300, 0.9, 350},
	} {
		if got := tt.c.wait(tt.retry, tt.before, tt.u); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s: got %g ms, want %g", tt.name, got, tt.want)
		}
	}
}
