// Package clients holds Troupe against the programs that send to it in real life: SDKs with
// automatic instrumentation in Go, Python, Node.js and Java, and an OpenTelemetry Collector with
// each of its encodings.
//
// The clients are large, so `make clients` installs them (install.sh) and runs these tests; without
// TROUPE_CLIENTS they skip. docs/clients.md has the figures of the last run.
package clients
