package words

import (
	"testing"

	"aftershock/detector"
)

func TestAccusation(t *testing.T) {
	named := detector.Cause{
		Kind: detector.CauseBinary, Name: "pay", Probability: 0.97,
		Cleared: []string{"cart is out: none of its own indicators moved as it went out at 09:10:00"},
	}
	inside := &detector.Inside{Summary: "pay 1 -> 2: changed constants in backoff: 50ms -> 20ms"}
	binaries := []detector.Binary{{Name: "pay", From: "1", To: "2", Inside: inside}, {Name: "cart"}}
	const out = "cart is out: none of its own indicators moved as it went out at 09:10:00"
	for name, c := range map[string]struct {
		alert detector.Alert
		want  string
	}{
		"all known":        {detector.Alert{Cause: named, Binaries: binaries}, "pay 1 → 2, in which changed constants in backoff: 50ms -> 20ms; " + out},
		"no inside":        {detector.Alert{Cause: named, Binaries: binaries[1:]}, "pay; " + out},
		"nothing known":    {detector.Alert{Cause: detector.Cause{Kind: detector.CauseBinary, Name: "pay", Probability: 0.97}}, ""},
		"a suspect":        {detector.Alert{Cause: detector.Cause{Kind: detector.CauseBinary, Name: "pay", Probability: 0.4}, Binaries: binaries}, ""},
		"no binary did it": {detector.Alert{Cause: detector.Cause{Kind: detector.CauseLoad, Probability: 0.9}, Binaries: binaries}, ""},
	} {
		if got := Accusation(c.alert); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
