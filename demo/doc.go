// Package demo holds the demo fleet: a small shop of real services that speak
// HTTP to one another and to a third party, in an old and a new build, the load
// that customers put on it, and the director (package story) that tells the
// story of an upgrade with them.
//
//	load -> gateway -> checkout -> payments -> acme-pay (third party)
//	                -> catalog  <- checkout
//
// Nothing imports these packages. What an upgrade does to latency and retries
// comes out of the programs' running; no number of theirs is scripted.
package demo
