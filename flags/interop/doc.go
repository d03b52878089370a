// Package interop holds the switchboard's evaluation and its feed against the
// official OpenFeature clients from npm: the SDK with its OFREP provider, flagd's
// provider in-process on what is synced, the OFREP provider for browsers on the
// event stream, and flagd's evaluator by itself. It has tests only; they need
// Node, and get the clients by npm ci.
package interop
