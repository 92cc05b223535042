// Package faults lets merges, publications, retention and sweeps of the real binary fail, in every
// step, while queries run. Whatever happens, an answer that calls itself complete has every span
// that was acknowledged, each once.
//
// A node keeps its blocks in an object store behind a proxy. The proxy reads what goes by, so it
// knows which step a request belongs to, and it can hold one back: the node is killed exactly
// there, before the store has heard of the request or before the node has heard of its success.
//
//	TestKilledAtEveryStep     kill -9, then start again; at the end the journal is damaged
//	TestStoreInTrouble        a store that fails, is away, is slow, or gets every request twice
//	TestDiskIsFull            no space for a merged block
//
// `make merge-faults` runs all of it and prints the figures; `make test` runs the short core.
package faults
