package words_test

import (
	"testing"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
)

func TestUpgrade(t *testing.T) {
	start := time.Date(2026, 11, 29, 10, 4, 31, 0, time.FixedZone("", 3600)).Add(time.Hour)
	binary := func(names ...string) (all []detector.Binary) {
		for _, n := range names {
			all = append(all, detector.Binary{Name: n, From: "4.1.3", To: "4.2.0"})
		}
		return all
	}
	found := func(source, culprit string, names ...string) detector.Upgrade {
		return detector.Upgrade{ID: "catalog-4.2.0-20261129T100431Z", StartedAt: start, Source: source, Culprit: culprit, Binaries: binary(names...)}
	}
	declared := found("record, build-info", "", "catalog", "payments")
	packaged := found("build-info", "", "catalog")
	packaged.Package = "dten.zip"
	for name, c := range map[string]struct {
		upgrade               detector.Upgrade
		whole, short, the, of string
	}{
		"declared":        {declared, declared.ID, declared.ID, declared.ID, "upgrade " + declared.ID},
		"with a package":  {packaged, packaged.ID, packaged.ID, packaged.ID, "upgrade " + packaged.ID},
		"without a start": {detector.Upgrade{ID: "x", Source: "build-info", Binaries: binary("a")}, "x", "x", "x", "upgrade x"},
		"alone": {
			found("build-info", "", "payments"), "payments 4.1.3 → 4.2.0 on 2026-11-29 10:04 UTC", "payments 4.1.3 → 4.2.0 on 2026-11-29 10:04 UTC",
			"the upgrade of payments 4.1.3 → 4.2.0 on 2026-11-29 10:04 UTC", "upgrade of payments 4.1.3 → 4.2.0 on 2026-11-29 10:04 UTC",
		},
		"several": {
			found("build-info, rolled back", "", "catalog", "checkout", "payments"), "3 binaries on 2026-11-29 10:04 UTC (catalog, checkout, payments)",
			"3 binaries on 2026-11-29 10:04 UTC", "the upgrade of 3 binaries on 2026-11-29 10:04 UTC", "upgrade of 3 binaries on 2026-11-29 10:04 UTC",
		},
		"with a culprit, by its metric's name": {
			found("toolchain", "dten_payments", "catalog", "checkout", "dten-payments"), "3 binaries on 2026-11-29 10:04 UTC (dten-payments, catalog, checkout)",
			"3 binaries on 2026-11-29 10:04 UTC", "the upgrade of 3 binaries on 2026-11-29 10:04 UTC", "upgrade of 3 binaries on 2026-11-29 10:04 UTC",
		},
		"more than are listed, the culprit among them": {
			found("build-info", "e", "a", "b", "c", "d", "e"), "5 binaries on 2026-11-29 10:04 UTC (e, a, b and 2 more)",
			"5 binaries on 2026-11-29 10:04 UTC", "the upgrade of 5 binaries on 2026-11-29 10:04 UTC", "upgrade of 5 binaries on 2026-11-29 10:04 UTC",
		},
		"one binary in two places": {
			found("build-info", "", "a", "a"), "a 4.1.3 → 4.2.0 on 2026-11-29 10:04 UTC", "a 4.1.3 → 4.2.0 on 2026-11-29 10:04 UTC",
			"the upgrade of a 4.1.3 → 4.2.0 on 2026-11-29 10:04 UTC", "upgrade of a 4.1.3 → 4.2.0 on 2026-11-29 10:04 UTC",
		},
		"taken back": {
			found("build-info, rollback", "", "a", "b"), "rollback of 2 binaries on 2026-11-29 10:04 UTC (a, b)", "rollback of 2 binaries on 2026-11-29 10:04 UTC",
			"the rollback of 2 binaries on 2026-11-29 10:04 UTC", "rollback of 2 binaries on 2026-11-29 10:04 UTC",
		},
	} {
		for _, got := range [][3]string{
			{"Upgrade", words.Upgrade(c.upgrade), c.whole},
			{"UpgradeShort", words.UpgradeShort(c.upgrade), c.short},
			{"TheUpgrade", words.TheUpgrade(c.upgrade), c.the},
			{"OfUpgrade", words.OfUpgrade(c.upgrade), c.of},
		} {
			if got[1] != got[2] {
				t.Errorf("%s: %s: got %q, want %q", name, got[0], got[1], got[2])
			}
		}
	}
	if got := words.Title(detector.Alert{Upgrade: "old"}); got != "old" {
		t.Errorf("an alert without a title is of %q, want the ID", got)
	}
}
