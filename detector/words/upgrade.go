package words

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"aftershock/detector"
)

// namedBinaries is how many of an upgrade's binaries its name lists.
const namedBinaries = 3

// Upgrade is what people call an upgrade. One that somebody declared is called by the ID
// that they gave it. One that was found by itself is called by what it is, for its ID
// holds no more than what had switched first, which may be the innocent:
//
//	dten-payments 4.1.3 → 4.2.0 on 2026-11-29 10:04 UTC
//	3 binaries on 2026-11-29 10:04 UTC (dten-catalog, dten-checkout, dten-payments)
//	rollback of 3 binaries on 2026-11-29 10:04 UTC (dten-catalog, dten-checkout, dten-payments)
//
// A binary that an alert named comes first, and at most three are listed.
func Upgrade(u detector.Upgrade) string {
	text := UpgradeShort(u)
	names := binaryNames(u)
	if !foundAlone(u) || len(names) < 2 {
		return text
	}
	list := strings.Join(names[:min(len(names), namedBinaries)], ", ")
	if more := len(names) - namedBinaries; more > 0 {
		list += fmt.Sprintf(" and %s more", Count(float64(more)))
	}
	return text + " (" + list + ")"
}

// UpgradeShort is Upgrade without the list of binaries, for where there is little room or
// their names aren't for everybody: 3 binaries on 2026-11-29 10:04 UTC.
func UpgradeShort(u detector.Upgrade) string {
	if !foundAlone(u) {
		return Name(u.ID)
	}
	what := ""
	if names := binaryNames(u); len(names) == 1 {
		what = Versions(u.Binaries[0])
	} else {
		what = Count(float64(len(names))) + " binaries"
	}
	if slices.Contains(strings.Split(u.Source, ", "), "rollback") {
		what = "rollback of " + what
	}
	return what + " on " + u.StartedAt.UTC().Format("2006-01-02 15:04") + " UTC"
}

// TheUpgrade is the upgrade within a sentence: after dten-4.2.0; after the upgrade of
// 3 binaries on 2026-11-29 10:04 UTC.
func TheUpgrade(u detector.Upgrade) string {
	name := UpgradeShort(u)
	switch {
	case !foundAlone(u):
		return name
	case strings.HasPrefix(name, "rollback of "):
		return "the " + name
	}
	return "the upgrade of " + name
}

// OfUpgrade names the upgrade as what it is: upgrade dten-4.2.0; upgrade of 3 binaries
// on 2026-11-29 10:04 UTC.
func OfUpgrade(u detector.Upgrade) string {
	if foundAlone(u) {
		return strings.TrimPrefix(TheUpgrade(u), "the ")
	}
	return "upgrade " + Name(u.ID)
}

// Title is what people call the alert's upgrade, by its ID where the alert doesn't say.
func Title(a detector.Alert) string { return Clean(cmp.Or(a.Title, a.Upgrade), LineLen) }

// foundAlone says whether the telemetry alone told of the upgrade: nobody named it.
func foundAlone(u detector.Upgrade) bool {
	first, _, _ := strings.Cut(u.Source, ", ")
	return (first == "build-info" || first == "toolchain") && u.Package == "" && len(u.Binaries) > 0 && u.Begun()
}

// Binaries are the upgrade's binaries, that which an alert named first.
func Binaries(u detector.Upgrade) []detector.Binary {
	all := slices.Clone(u.Binaries)
	slices.SortStableFunc(all, func(a, b detector.Binary) int {
		return cmp.Compare(innocence(u, a), innocence(u, b))
	})
	return all
}

func innocence(u detector.Upgrade, b detector.Binary) int {
	if u.Culprit != "" && detector.SameBinary(b.Name, u.Culprit) {
		return 0
	}
	return 1
}

// binaryNames are the names of the upgrade's binaries, each once, the culprit first.
func binaryNames(u detector.Upgrade) []string {
	var names []string
	for _, b := range Binaries(u) {
		if name := Name(b.Name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
