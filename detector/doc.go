// Package detector is the domain and the judgement of Aftershock.
//
// It knows no I/O, no clock, no context and no logging: telemetry comes in as
// Frames, instants come in as arguments, and what it has to say goes out as
// Events and Verdicts. The daemon, the backtest and the benchmark therefore run
// the very same judgement.
//
// Everything it decides is a ratio of counts: retries over calls, failed over
// all requests, requests slower than a bucket bound over all requests. No
// quantile is interpolated for a decision.
package detector
