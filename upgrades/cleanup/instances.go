package cleanup

import (
	"fmt"
	"slices"

	"aftershock/detector"
	"aftershock/detector/words"
)

// leftBehind is the chore of a binary of which instances were left behind.
func leftBehind(l detector.Leftover) detector.Chore {
	b := l.Binary
	return detector.Chore{
		Kind: "instance", Name: b.Name, Probe: "instance " + b.Name, Due: l.Since,
		What: fmt.Sprintf("%s: restart on %s, or say why it stays", words.Standing(b), words.Name(b.To)),
	}
}

// instances looks whether a binary of the upgrade still has instances on the old build.
func instances(u detector.Upgrade, others []detector.Upgrade, name string) (seen, error) {
	if !u.ClosedAt.IsZero() {
		return seen{}, fmt.Errorf("%w: the watch over the upgrade has ended", errCantTell)
	}
	known := false
	for _, b := range u.Binaries {
		if !detector.SameBinary(b.Name, name) || b.Fleet == nil {
			continue
		}
		known = true
		if b.Fleet.Old == 0 {
			continue
		}
		if slices.ContainsFunc(others, func(o detector.Upgrade) bool { return o.Replaces(u, b) }) {
			return seen{true, "a later upgrade replaces " + words.Name(name)}, nil
		}
		return seen{false, words.Standing(b)}, nil
	}
	if !known {
		return seen{}, fmt.Errorf("%w: the telemetry doesn't show what its instances run", errCantTell)
	}
	return seen{true, "no instance runs the old build"}, nil
}
