// Package interop holds the switchboard's evaluation against the official
// OpenFeature clients from npm: the SDK with its OFREP provider over HTTP, and
// flagd's in-process evaluator. It has tests only; they need Node and are run by
// "npm ci && go test -tags interop ." in this folder.
package interop
