# The only door: every task of the project is a target here.
GO          ?= go
TROUPE_SHARED ?= $(abspath ../shared)
export TROUPE_SHARED
VERSION     ?= 0.1.0
REVISION    := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
LDFLAGS     := -X github.com/troupe-tracing/troupe/runtime/telemetry.Version=$(VERSION) -X github.com/troupe-tracing/troupe/runtime/telemetry.Revision=$(REVISION)

.DEFAULT_GOAL := help
.PHONY: ui ui-packages ui-dev ui-test ui-bench ui-pictures help run build test test-all check race sim oracle fuzz bench soak merge-run e2e long-trace kafka kafka-jars python stores clients defects generate fmt lint tidy docs kill-rounds merge-faults shape

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { \
	  n = split($$2, words, " "); line = sprintf("%-14s", $$1); \
	  for (i = 1; i <= n; i++) { \
	    if (length(line) + length(words[i]) > 100) { sub(/ $$/, "", line); print line; line = sprintf("%-14s", "") } \
	    line = line words[i] (i < n ? " " : "") } \
	  print line }' $(MAKEFILE_LIST)

run: build ## build Troupe and start it with all roles; it needs no configuration
	./bin/troupe

build: ## build bin/troupe and bin/troupectl
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/troupe ./cmd/troupe
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/troupectl ./cmd/troupectl

test: ## run all tests with the race detector, also against the real binary; this is what CI runs
	$(GO) vet ./...
	@./test/summarise.sh $(MAKE) --no-print-directory test-all

test-all:
	$(GO) test -race -count=1 -timeout 30m ./... # never from the cache: it does not see that the binary has changed
	$(GO) test -count=1 -run TestCostGoesBySize ./runtime/engine/block/ # the race detector has costs of its own

check: ## run the fast part of the tests (under three minutes)
	$(GO) vet ./...
	@./test/summarise.sh $(GO) test -short -timeout 5m ./...

race: ## run the tests of actors, kernel, live segments and simulation three times with the race detector, and the short end-to-end tests against a binary built with it
	$(GO) test -race -count=3 ./actors/... ./runtime/kernel/... ./runtime/engine/live/... ./test/sim/...
	TROUPE_RACE=1 $(GO) test -short -count=1 -timeout 20m ./test/e2e/

sim: ## simulate the whole system; SEED=n repeats one run, ROUNDS=n sets their number
	$(GO) test -count=1 -run TestSimulation ./test/sim/ -seed=$(or $(SEED),0) -rounds=$(or $(ROUNDS),200)

oracle: ## compare random queries over random traces with the naive evaluator; SEED=n, PAIRS=n (default 100000), ROUNDS=n
	$(GO) test -count=1 -timeout 60m -run 'TestRandom|TestLarge' ./test/oracle/ -seed=$(or $(SEED),$(shell date +%s)) -pairs=$(or $(PAIRS),100000)
	$(GO) test -count=1 -timeout 60m ./test/metamorphic/ -seed=$(or $(SEED),$(shell date +%s)) -rounds=$(or $(ROUNDS),5000)

fuzz: ## run each fuzz target for FUZZTIME (default 30s)
	@for p in $$($(GO) list ./...); do \
	  d=$$($(GO) list -f '{{.Dir}}' $$p); \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$d/*_test.go 2>/dev/null | sed 's/func //'); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(or $(FUZZTIME),30s) -fuzzminimizetime 1s $$p || exit 1; done; done

bench: build ## measure the rows of docs/benchmarks.md
	$(GO) test -run '^$$' -bench . -benchmem ./runtime/engine/... ./runtime/storage/...
	./test/bench/run.sh
	./test/bench/fair.sh
	./test/bench/homes.sh
	./test/bench/long.sh

soak: build ## send new traces at full rate for FOR (default 10m) and print what the node takes meanwhile; needs 14 GB of disk
	./test/bench/soak.sh

merge-run: ## send to a node that cuts every ten seconds for FOR (default 30m) at RATE (default 20000) spans a second, and compare its answers before, during and after merging
	MERGE_RUN_FOR=$(or $(FOR),30m) MERGE_RUN_RATE=$(or $(RATE),20000) $(GO) test -count=1 -timeout 0 -v -run TestMergeRun ./test/e2e/

e2e: ## run the end-to-end tests, which see the binary only from outside
	$(GO) test -count=1 -timeout 20m ./test/e2e/

long-trace: ## run the end-to-end test of a trace that is too large for memory, with a million spans
	LONG_TRACE_SPANS=1000000 $(GO) test -count=1 -timeout 20m -run TestLongTrace ./test/e2e/

docs: ## write the pages of docs that are made from the code: config.md and metrics.md
	$(GO) test -count=1 -run 'TestConfigPage|TestMetricsPage' ./cmd/troupe -rewrite

stores: ## install the object stores that tests start on this machine
	./test/stores/install.sh

kafka-jars: ## fetch Apache Kafka, which tests start on this machine (needs Java 17 and Maven, or apt-get)
	./deploy/dev/kafka/install.sh

kafka: kafka-jars ## start brokers of Apache Kafka, break them in every way that docs/kafka.md names, and stop them
	TROUPE_KAFKA=1 $(GO) test -count=1 -timeout 20m -run Apache ./runtime/storage/kafkalog/ ./test/e2e/

python: ## install the Python packages of the tests that look at Troupe with other programs (pyarrow, DuckDB, grpcio)
	python3 -m venv .venv
	.venv/bin/pip install -q --disable-pip-version-check -r test/e2e/python/requirements.txt

clients: ## install real SDKs and a Collector, run test/clients with them against the binary, and print the figures of docs/clients.md
	./test/clients/install.sh
	@TROUPE_CLIENTS=1 $(GO) test -count=1 -timeout 20m -v ./test/clients/ >test/clients/.installed/last.log 2>&1; code=$$?; \
	grep -E '^ *--- (FAIL|SKIP)|figures:|Error:|^(ok|FAIL|PASS)' test/clients/.installed/last.log; \
	[ $$code = 0 ] || echo "see test/clients/.installed/last.log"; exit $$code

defects: build ## check each defect that was found once against the binary (test/defects; some need root)
	./test/defects/run.sh

ui-packages: ## install what the web pages are built and tested with: packages of Node.js, and Chromium where apt has it
	cd runtime/gateway/ui/app && { npm ci --no-audit --no-fund --loglevel=error || npm ci --no-audit --no-fund; }
	@[ -x $${TROUPE_CHROMIUM:-/usr/bin/chromium} ] || { apt-get update -qq && apt-get install -y -qq chromium; }

ui: ui-packages ## build the web pages into runtime/gateway/ui/dist, which is committed (needs Node.js 20)
	cd runtime/gateway/ui/app && npm run -s build

ui-dev: ## the web pages from their sources, against a node on port 3200
	cd runtime/gateway/ui/app && npm run -s dev

ui-test: ui-packages ## the web pages: their unit tests, whether dist is what the sources give, and journeys in Chromium against real nodes
	cd runtime/gateway/ui/app && npm test
	cp -r runtime/gateway/ui/dist runtime/gateway/ui/app/node_modules/.dist-committed
	cd runtime/gateway/ui/app && npm run -s build && diff -r ../dist node_modules/.dist-committed; code=$$?; rm -rf node_modules/.dist-committed; exit $$code
	TROUPE_UI=1 $(GO) test -count=1 -timeout 15m ./test/ui/

ui-bench: ui-packages ## the figures of the web pages in docs/benchmarks.md, in Chromium
	TROUPE_UI=1 TROUPE_UI_BENCH=1 $(GO) test -count=1 -v -timeout 20m -run TestFigures ./test/ui/ | grep -E 'figures|^(ok|FAIL|---)'

ui-pictures: ui-packages ## the pictures of the README, taken of the demo in Chromium
	TROUPE_UI=1 TROUPE_UI_PICTURES=$(CURDIR)/docs/pictures $(GO) test -count=1 -run TestPictures ./test/ui/

kill-rounds: ## send, kill -9, restart and compare, ROUNDS times (default 20)
	TROUPE_KILL_ROUNDS=$(or $(ROUNDS),20) $(GO) test -count=1 -timeout 30m -run TestKillRounds -v ./test/e2e/

merge-faults: ## kill the node at every step of publication, merge, removal, retention and sweep, ROUNDS times (default 1, each takes five minutes); then a store in trouble, a damaged journal, a full disk
	@log=$$(mktemp); TROUPE_FAULT_ROUNDS=$(or $(ROUNDS),1) $(GO) test -count=1 -timeout 5h -v ./test/faults/ >$$log 2>&1; code=$$?; \
	if [ $$code = 0 ]; then grep -E 'figures|^ *--- |^ok' $$log; else cat $$log; fi; rm -f $$log; exit $$code

generate: ## write the Go code of the protobuf messages (needs protoc)
	./messages/generate.sh

fmt: ## format all Go code
	gofmt -w actors cluster cmd messages runtime test

lint: ## run go vet, staticcheck and govulncheck
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	@out=$$($(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./... 2>&1); code=$$?; echo "$$out"; \
	case "$$out" in *"fetching vulnerabilities"*) echo "govulncheck: skipped, its database cannot be reached from here";; *) exit $$code;; esac

shape: ## print sizes, widths and names of all packages, with every finding
	$(GO) test -count=1 -v -run TestShape ./test/tidy/ -report

tidy: ## run go mod tidy and the tests of the structure (test/tidy)
	$(GO) mod tidy
	$(GO) test -count=1 ./test/tidy/
