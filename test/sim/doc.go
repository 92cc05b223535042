// Package sim runs all kinds in one process, in an order drawn from a seed, while everything fails: actors and processes are killed, processes sleep,
// messages are lost, log and bucket refuse, answer late or lose their answers, and the log loses parts of its history. Whatever happens: an acknowledged span is
// found exactly once, by id, by search and in metrics; coverage never passes durable data; every listed block can be read; no fuse blows.
//
// TestSimulation runs rounds of chance; `make sim SEED=n` repeats one. The tests named after the schedules of the design (TestH01…) are courses that were thought
// out. Schedules that need fewer actors are tested beside the code.
package sim
