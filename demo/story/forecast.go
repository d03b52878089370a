package main

import (
	"fmt"
	"math"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// sure is how likely an interval holds what it is of.
const sure = 0.95

// interval is a share, or a ratio of counts, with what it is likely to be between.
type interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`

	sd, freedom float64
}

// around makes an interval of a value with its standard error, which is known by so many
// degrees of freedom.
func around(value, sd, freedom float64) interval {
	reach := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: freedom}.Quantile((1+sure)/2) * sd
	return interval{value, max(value-reach, 0), value + reach, sd, freedom}
}

// many is for a standard error that is known well.
const many = 1e6

// counted is a ratio of two counters over the parts of a phase. Its error is from how it
// varies between them: trouble comes in bursts, which correlate what happens in one
// (W. G. Cochran, Sampling Techniques, 3rd ed., section 6.4); but it isn't less than that
// of counts that come by themselves.
func counted(parts []sample, above, below string) interval {
	if len(parts) < 2 {
		return around(math.NaN(), math.Inf(1), 1)
	}
	n := float64(len(parts) - 1)
	a, b := 0.0, 0.0
	for i := range parts[1:] {
		a, b = a+parts[i+1][above]-parts[i][above], b+parts[i+1][below]-parts[i][below]
	}
	if b <= 0 {
		return around(math.NaN(), math.Inf(1), 1)
	}
	value, square := a/b, 0.0
	for i := range parts[1:] {
		d := parts[i+1][above] - parts[i][above] - value*(parts[i+1][below]-parts[i][below])
		square += d * d
	}
	least := math.Sqrt(max(a, 1)) / b
	if n < 3 {
		return around(value, least, max(n-1, 1))
	}
	return around(value, max(math.Sqrt(square*n/(n-1))/b, least), n-1)
}

// partLength is how long a part is: long against a burst of acme-pay's.
const partLength = 2 * time.Second

// comparison holds a count against what was foretold of it.
type comparison struct {
	What     string   `json:"what"`
	Foretold interval `json:"foretold"`
	Counted  interval `json:"counted"`
	// Verdict is "as foretold", "more than foretold" or "less than foretold".
	Verdict string `json:"verdict"`

	as func(float64) string
}

// compare says whether a count is what was foretold, as far as either is known: their
// difference against its own error (B. L. Welch, Biometrika 34, 1947).
func compare(what string, as func(float64) string, foretold estimate, count interval) comparison {
	c := comparison{as: as, What: what, Foretold: around(foretold.Value, foretold.Error, many), Counted: count, Verdict: "as foretold"}
	sd := math.Hypot(foretold.Error, count.sd)
	freedom := many
	if count.sd > 0 {
		freedom = math.Min(math.Pow(sd, 4)/(math.Pow(count.sd, 4)/count.freedom), many)
	}
	switch d := around(count.Value-foretold.Value, sd, freedom); {
	case !(math.Abs(count.Value-foretold.Value) > (d.High - d.Value)):
	case count.Value > foretold.Value:
		c.Verdict = "more than foretold"
	default:
		c.Verdict = "less than foretold"
	}
	return c
}

// words are the comparison in a line.
func (c comparison) words() string {
	in := func(i interval) string { return fmt.Sprintf("%s (%s to %s)", c.as(i.Value), c.as(i.Low), c.as(i.High)) }
	return fmt.Sprintf("%s %s; foretold were %s, counted %s", c.What, c.Verdict, in(c.Foretold), in(c.Counted))
}

func percent(x float64) string { return fmt.Sprintf("%.2f%%", 100*x) }
func plain(x float64) string   { return fmt.Sprintf("%.3f", x) }

// third is the key of a counter of what payments asked of acme-pay.
func third(what string) string { return "payments thirdparty_client_" + what + "_total peer=acme-pay" }

// held holds what was counted with some constants against what tuning foretold of them,
// where there was anything to count. more says that more calls are lost than that.
func held(r row, parts []sample) (all []comparison, more bool) {
	for _, c := range []comparison{
		compare("calls lost", percent, r.Failed, counted(parts, third("failed_calls"), third("requests"))),
		compare("retries per call", plain, r.Retries, counted(parts, third("retries"), third("requests"))),
	} {
		if !math.IsNaN(c.Counted.Value) {
			all = append(all, c)
		}
	}
	return all, len(all) > 0 && all[0].Verdict == "more than foretold"
}
