// Package conformance replays recorded requests against the running binary and compares the
// answers, over HTTP, gRPC and gRPC on the HTTP port. testdata has the cases and their rules;
// pending.txt lists those that are not expected to pass, each with the reason, so that the list can
// only shrink.
package conformance
