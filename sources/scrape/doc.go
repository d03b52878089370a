// Package scrape reads the metrics pages of services itself and keeps what they
// say in an embedded Prometheus TSDB, so that nothing else has to run beside the
// daemon.
//
// It promises: every target is read once an interval at its own offset and never
// twice at a time; whatever a target answers harms neither the others nor what
// is stored; a sample that was stored is found again after a crash; the series
// carry stale markers where a series or a target ended and start times where
// the target tells them; a full disk stops the storing alone, and ends by itself.
//
// The exposition formats are parsed by Prometheus' own model/textparse and
// stored by its tsdb. Its scrape package stays out: it comes with the service
// discovery of Kubernetes (15 modules beyond what tsdb needs) and tells
// failures in words made for its own pages, not in one line with a way out.
package scrape
