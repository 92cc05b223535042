#!/usr/bin/env bash
# The end-to-end rows of docs/benchmarks.md: one node with default settings, the load generator of test/loadgen on the same machine.
# CPU is that of the server process, from before the send until the last span is in a block. SPANS sets the size (default 1000000), N the runs of a query.
set -euo pipefail
cd "$(dirname "$0")/../.."
spans="${SPANS:-1000000}"
n="${N:-7}"
dir="$(mktemp -d)"
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; fi; rm -rf "$dir"' EXIT
(cd test/loadgen && go build -o "$dir/loadgen" .)
go build -o "$dir/found" ./test/bench/found
cat > "$dir/troupe.yaml" <<Y
server: {http_listen_address: 127.0.0.1, http_listen_port: 13200, grpc_listen_address: 127.0.0.1, grpc_listen_port: 19095}
distributor: {receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:14317"}, http: {endpoint: "127.0.0.1:14318"}}}}}
storage: {trace: {backend: local, wal: {path: $dir/log}, local: {path: $dir/blocks}}}
Y
url=http://127.0.0.1:13200
start() {
  local t0
  t0=$(date +%s%N)
  ./bin/troupe -config.file="$dir/troupe.yaml" >> "$dir/log.txt" 2>&1 &
  pid=$!
  until curl -fs "$url/ready" > /dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || { tail -5 "$dir/log.txt"; exit 1; }
    sleep 0.01
  done
  echo "$1: ready after $(( ($(date +%s%N) - t0) / 1000000 )) ms"
}
usage() { "$dir/loadgen" usage -pid "$pid"; }
cpu() { sed -E 's/cpu ([0-9.]+)s.*/\1/' <<< "$1"; }
uncovered() { curl -fs "$url/metrics" | awk '/^troupe_live_store_next_offset/ {n+=$2} /^troupe_live_store_covered_offset/ {c+=$2} END {print n-c}'; }

start "empty"
sleep 5
echo "idle: $(usage)"
"$dir/found" -url "$url" -otlp http://127.0.0.1:14318 -n 50 | sed 's/^/idle, /'
"$dir/loadgen" gen -spans "$spans" -window 80s -seed "${SEED:-7}" -out "$dir/corpus.bin"
before=$(usage)
"$dir/loadgen" send -in "$dir/corpus.bin" -grpc 127.0.0.1:14317 -conc 8
echo "after the send: $(usage)"
for _ in $(seq 180); do [ "$(uncovered)" = 0 ] && break; sleep 1; done
done=$(usage)
echo "in blocks: $done"
echo "CPU a span, OTLP to block: $(awk -v a="$(cpu "$done")" -v b="$(cpu "$before")" -v n="$spans" 'BEGIN {printf "%.2f us", (a-b)/n*1e6}')"
echo "stored: $(find "$dir/blocks" -name '*.parquet' -o -name meta.json | xargs du -cb | tail -1 | awk -v n="$spans" '{printf "%.1f B/span", $1/n}') in $(find "$dir/blocks" -name meta.json | wc -l) blocks"
kill "$pid"; wait "$pid" || true
start "with the corpus in blocks"
echo "== all in blocks; first is the first run after a restart"
"$dir/loadgen" query -url "$url" -in "$dir/corpus.bin" -n "$n"
echo "== a second corpus at full rate, and marked traces beside it"
"$dir/loadgen" gen -spans "$spans" -window 80s -seed 8 -out "$dir/second.bin" > /dev/null
before=$(usage)
"$dir/loadgen" send -in "$dir/second.bin" -grpc 127.0.0.1:14317 -conc 8 > "$dir/second.txt" &
load=$!
"$dir/found" -url "$url" -otlp http://127.0.0.1:14318 -for "${SATURATED:-5s}" | sed 's/^/saturated, /'
wait "$load"
cat "$dir/second.txt"
echo "== queries over it, part of it in live segments"
"$dir/loadgen" query -url "$url" -in "$dir/second.bin" -n "$n"
kill -9 "$pid"; wait "$pid" 2>/dev/null || true
start "after kill -9 with uncovered spans"
echo "left to cover: $(uncovered) records"
