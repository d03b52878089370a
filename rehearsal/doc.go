// Package rehearsal sends a staged copy the traffic that production has, before
// and after an upgrade, and keeps what was measured in the form that the judgement
// reads.
//
// It is an open model: arrivals come from a schedule that is drawn beforehand and
// don't wait for answers, and a request's latency counts from the instant at which
// it was to start. So a slow copy can't slow its own traffic down and look better
// for it. Both phases have the same schedule, to the nanosecond.
//
// The package promises to send nothing to a host that isn't on the list of those
// that may be rehearsed against, at no rate over the cap, and not for longer than
// it may. It judges nothing itself: what it writes is telemetry.
package rehearsal
