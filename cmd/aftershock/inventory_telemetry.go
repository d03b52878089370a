package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"aftershock/detector"
	"aftershock/upgrades/preflight/inventory"
)

// recent is how far back what runs is looked for in telemetry.
const recent = 10 * time.Minute

// runningServices gives the services that run by the build information of telemetry: that of the last minutes of a server, and
// of the end of what was recorded.
func runningServices(ctx context.Context, sh shell, where, config string, now time.Time) ([]inventory.Service, error) {
	start, end := "", ""
	if strings.Contains(where, "://") {
		start, end = now.Add(-recent).UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)
	}
	cfg, src, from, to, err := openRecorded(ctx, sh, where, config, start, end)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if to.Sub(from) > recent {
		from = to.Add(-recent)
	}
	var last detector.Frame
	if err := src.Past(ctx, from, to, min(cfg.Step, time.Minute), tellsBuilds, func(f detector.Frame) error {
		last = f
		return nil
	}); err != nil {
		return nil, err
	}
	var builds []inventory.Build
	for _, b := range last.Builds {
		ls := maps.Clone(b.Labels)
		if ls == nil {
			ls = map[string]string{}
		}
		ls["binary"], ls["version"], ls["revision"], ls["instance"] = b.Binary, b.Version, b.Revision, b.Instance
		builds = append(builds, inventory.Build{Metric: "target_info", Labels: ls})
	}
	services := inventory.Services(builds)
	if len(services) == 0 {
		return nil, fmt.Errorf("read what runs from %s: it has no *_build_info and no target_info with a version in its last %s", where, recent)
	}
	return services, nil
}

// tellsBuilds says whether a series tells which build runs.
func tellsBuilds(ls labels.Labels) bool {
	name := ls.Get(model.MetricNameLabel)
	return strings.HasSuffix(name, "build_info") || name == "target_info"
}

// withServices puts what telemetry has of services in the place of what was known of them.
func withServices(known, told []inventory.Service) []inventory.Service {
	kept := slices.DeleteFunc(slices.Clone(known), func(k inventory.Service) bool {
		return slices.ContainsFunc(told, func(t inventory.Service) bool { return t.Service == k.Service })
	})
	return append(kept, told...)
}
