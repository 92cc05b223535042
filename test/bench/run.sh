#!/usr/bin/env bash
# The end-to-end rows of docs/benchmarks.md: one node with default settings, the load generator of TROUPE_SHARED on the same machine.
# CPU is that of the server process, from before the send until the last span is in a block. SPANS sets the size (default 1000000).
set -euo pipefail
cd "$(dirname "$0")/../.."
shared="${TROUPE_SHARED:-../shared}"
spans="${SPANS:-1000000}"
if [ ! -d "$shared/tools/loadgen" ]; then
  echo "bench: skipped, the load generator is not here: set TROUPE_SHARED (looked in $shared)"
  exit 0
fi
dir="$(mktemp -d)"
trap 'kill "${pid:-0}" 2>/dev/null || true; rm -rf "$dir"' EXIT
(cd "$shared/tools/loadgen" && go build -o "$dir/loadgen" .)
cat > "$dir/troupe.yaml" <<Y
server: {http_listen_address: 127.0.0.1, http_listen_port: 13200, grpc_listen_address: 127.0.0.1, grpc_listen_port: 19095}
distributor: {receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:14317"}, http: {endpoint: "127.0.0.1:14318"}}}}}
storage: {trace: {backend: local, wal: {path: $dir/log}, local: {path: $dir/blocks}}}
Y
start=$(date +%s%N)
./bin/troupe -config.file="$dir/troupe.yaml" > "$dir/log.txt" 2>&1 &
pid=$!
until curl -fs http://127.0.0.1:13200/ready > /dev/null 2>&1; do sleep 0.02; done
echo "start to ready: $(( ($(date +%s%N) - start) / 1000000 )) ms"
sleep 5
echo "idle:           $("$dir/loadgen" usage -pid $pid)"
"$dir/loadgen" gen -spans "$spans" -window 80s -seed "${SEED:-7}" -out "$dir/corpus.bin"
before=$("$dir/loadgen" usage -pid $pid)
"$dir/loadgen" send -in "$dir/corpus.bin" -grpc 127.0.0.1:14317 -conc 8
echo "after the send: $("$dir/loadgen" usage -pid $pid)"
"$dir/loadgen" query -url http://127.0.0.1:13200 -in "$dir/corpus.bin" -n 7 -only trace_by_id
covered() { curl -fs http://127.0.0.1:13200/metrics | awk '/^troupe_live_store_next_offset/ {n+=$2} /^troupe_live_store_covered_offset/ {c+=$2} END {print n-c}'; }
for _ in $(seq 120); do [ "$(covered)" = 0 ] && break; sleep 1; done
after=$("$dir/loadgen" usage -pid $pid)
echo "in blocks:      $after"
cpu() { sed -E 's/cpu ([0-9.]+)s.*/\1/' <<< "$1"; }
echo "CPU a span:     $(awk -v a="$(cpu "$after")" -v b="$(cpu "$before")" -v n="$spans" 'BEGIN {printf "%.2f us", (a-b)/n*1e6}')"
echo "stored:         $(du -sb "$dir/blocks" | awk -v n="$spans" '{printf "%.1f B/span", $1/n}')"
"$dir/loadgen" query -url http://127.0.0.1:13200 -in "$dir/corpus.bin" -n 7
kill -9 $pid; wait $pid 2>/dev/null || true
start=$(date +%s%N)
./bin/troupe -config.file="$dir/troupe.yaml" >> "$dir/log.txt" 2>&1 &
pid=$!
until curl -fs http://127.0.0.1:13200/ready > /dev/null 2>&1; do sleep 0.02; done
echo "restart after kill -9 to ready: $(( ($(date +%s%N) - start) / 1000000 )) ms"
