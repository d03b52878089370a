package detector

import (
	"math"
	"testing"
	"time"
)

// Where nothing is left of a share, it is told what it would be.
func TestAnEffectDownToNothing(t *testing.T) {
	var cfg Config
	cfg.SetDefaults()
	tr := &Trial{Verdict: Verdict{Indicator: Indicator{Kind: Error, Metric: "m"}}}
	tr.Bias[0] = 1.5
	block := Block{End: time.Unix(60, 0).UnixNano(), Steps: 1, Total: 1_000_000}
	block.Exp[0] = 20
	tr.Blocks.add(block)
	ev := &evidence{}
	ev.have[0], ev.at[0] = true, size{math.Log(0.06), 0.1}
	if e := tr.effect(ev, &cfg); e.After != 0 || math.Abs(e.Before-30e-6) > 1e-9 || math.Abs(e.Ratio-0.06) > 1e-9 {
		t.Errorf("down to nothing: %+v", e)
	}
	tr.Blocks.List[0].Obs[0] = 3
	if e := tr.effect(ev, &cfg); math.Abs(e.After-1.8e-6) > 1e-9 || math.Abs(e.Before-30e-6) > 1e-9 {
		t.Errorf("down to little: %+v", e)
	}
	tr.Blocks.List[0].Obs[0], ev.at[0] = 60, size{math.Log(2.5), 0.1}
	if e := tr.effect(ev, &cfg); math.Abs(e.After-60e-6) > 1e-9 || math.Abs(e.Before-24e-6) > 1e-9 {
		t.Errorf("up: %+v", e)
	}
}
