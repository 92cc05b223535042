#!/usr/bin/env bash
# The end-to-end rows of docs/benchmarks.md: one node with default settings, the load generator of test/loadgen on the same machine.
# CPU is that of the server process, from before the send until the last span is in a block. SPANS sets the size (default 1000000), N the runs of a query.
set -euo pipefail
. "$(dirname "$0")/node.sh"
spans="${SPANS:-1000000}"
n="${N:-7}"
go build -o "$dir/found" ./test/bench/found
start_timed() { # NAME of the start
  local t0
  t0=$(date +%s%N)
  start
  echo "$1: ready after $(( ($(date +%s%N) - t0) / 1000000 )) ms"
}
cpu() { sed -E 's/cpu ([0-9.]+)s.*/\1/' <<< "$1"; }

start_timed "empty"
sleep 5
echo "idle: $(usage)"
"$dir/found" -url "$url" -otlp http://127.0.0.1:14318 -n 50 | sed 's/^/idle, /'
"$dir/loadgen" gen -spans "$spans" -window 80s -seed "${SEED:-7}" -out "$dir/corpus.bin"
before=$(usage)
send "$dir/corpus.bin"
echo "after the send: $(usage)"
await_blocks
done=$(usage)
echo "in blocks: $done"
echo "CPU a span, OTLP to block: $(awk -v a="$(cpu "$done")" -v b="$(cpu "$before")" -v n="$spans" 'BEGIN {printf "%.2f us", (a-b)/n*1e6}')"
echo "stored: $(find "$dir/blocks" -name '*.parquet' -o -name meta.json | xargs du -cb | tail -1 | awk -v n="$spans" '{printf "%.1f B/span", $1/n}') in $(find "$dir/blocks" -name meta.json | wc -l) blocks"
stop
start_timed "with the corpus in blocks"
echo "== all in blocks; first is the first run after a restart"
"$dir/loadgen" query -url "$url" -in "$dir/corpus.bin" -n "$n"
echo "== a second corpus at full rate, and marked traces beside it"
"$dir/loadgen" gen -spans "$spans" -window 80s -seed 8 -out "$dir/second.bin" > /dev/null
before=$(usage)
send "$dir/second.bin" > "$dir/second.txt" &
load=$!
"$dir/found" -url "$url" -otlp http://127.0.0.1:14318 -for "${SATURATED:-5s}" | sed 's/^/saturated, /'
wait "$load"
cat "$dir/second.txt"
echo "== queries over it, part of it in live segments"
"$dir/loadgen" query -url "$url" -in "$dir/second.bin" -n "$n"
kill -9 "$pid"; wait "$pid" 2>/dev/null || true
start_timed "after kill -9 with uncovered spans"
echo "left to cover: $(uncovered) records"
