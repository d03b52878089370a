package fleet

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

func buildLabels(p Program) prometheus.Labels {
	revision := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				revision = s.Value[:12]
			}
		}
	}
	// The shop's releases are tagged: its revision is the tag, followed by
	// the commit where the build knows it.
	return prometheus.Labels{
		"binary": p.Binary, "version": p.Version, "revision": "v" + p.Version + "-" + revision, "goversion": runtime.Version(),
	}
}
