package detector

import (
	"testing"
	"time"
)

// An acknowledgement holds while figures move, and no longer once another binary is
// blamed by name or another service is hit.
func TestAcknowledgementCovers(t *testing.T) {
	at := func(service string) Verdict {
		return Verdict{Indicator: Indicator{Kind: Latency, Metric: "m", Labels: map[string]string{"service": service}}}
	}
	alert := func(cause Cause, services ...string) Alert {
		a := Alert{Key: "u/pay/1", Cause: cause, Root: at(services[0])}
		for _, s := range services[1:] {
			a.Others = append(a.Others, at(s))
		}
		return a
	}
	pay := Cause{Kind: CauseBinary, Name: "pay", Probability: 0.6}
	unknown := Cause{Kind: CauseUnknown}
	now := time.Unix(1e9, 0)
	for name, c := range map[string]struct {
		then, now Alert
		want      bool
	}{
		"nothing changed":          {alert(pay, "pay", "cart"), alert(pay, "pay", "cart"), true},
		"surer of the same binary": {alert(pay, "pay"), alert(Cause{Kind: CauseBinary, Name: "pay", Probability: 0.99}, "pay"), true},
		"a service fewer":          {alert(pay, "pay", "cart"), alert(pay, "cart"), true},
		"a service more":           {alert(pay, "pay", "cart"), alert(pay, "cart", "pay", "gateway"), false},
		"the root is another":      {alert(pay, "pay", "cart"), alert(pay, "cart", "pay"), true},
		"another binary":           {alert(pay, "pay"), alert(Cause{Kind: CauseBinary, Name: "cart"}, "pay"), false},
		"a binary is named":        {alert(unknown, "pay"), alert(pay, "pay"), false},
		"none is named any more":   {alert(pay, "pay"), alert(unknown, "pay"), true},
	} {
		k := Acknowledge(c.then, "ann", "on it", now)
		if k.Alert != "u/pay/1" || k.Actor != "ann" || k.Reason != "on it" || !k.At.Equal(now) {
			t.Fatalf("%s: acknowledged as %+v", name, k)
		}
		if got := k.Covers(c.now); got != c.want {
			t.Errorf("%s: covered is %v, want %v", name, got, c.want)
		}
	}
}
