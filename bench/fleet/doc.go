// Package fleet simulates a fleet of services through one upgrade, request by
// request, and knows the answer: which binary, or which of two, made what worse,
// and by how much.
//
// A request passes a chain of services. Each adds its own time (a lognormal or
// a gamma, with cache misses and collector pauses on top), the last or a middle
// one may call a third party in a loop of attempts with sleeps between them.
// What is random from minute to minute (load, noise at several time scales,
// failures of third parties, restarts) is drawn first, as a course; the requests
// of a minute are then drawn one by one given the course.
//
// The truth about an upgrade is the ratio between two runs of the same world,
// request for request with the same random numbers: with the fault and without.
//
// The package shares no code with the judgement and takes nothing from it but
// the types of a frame.
package fleet
