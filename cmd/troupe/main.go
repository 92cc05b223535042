package main

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/actors/blockbuilder"
	"github.com/troupe-tracing/troupe/actors/distributor"
	"github.com/troupe-tracing/troupe/actors/livestore"
	"github.com/troupe-tracing/troupe/actors/queryfrontend"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Config is the whole configuration.
type Config struct {
	LiveStore     livestore.Config
	BlockBuilder  blockbuilder.Config
	Distributor   struct{ distributor.Config }
	QueryFrontend struct{ queryfrontend.Config }
}

// deps is what the kinds reach.
type deps struct {
	log                            kafkalog.Log
	bucket                         objstore.Bucket
	journal                        *journal.Journal
	blocks                         *blockOpener
	directory                      ask.Directory
	ingest, fetch, scan, build, io work.Pool
	clock                          clock.Clock
	logger                         *slog.Logger
	registry                       *prometheus.Registry
}

func main() {}
