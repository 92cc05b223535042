#!/usr/bin/env bash
# The row of docs/benchmarks.md about quantiles over an hour: one node with default settings, SPANS spans (default 10000000)
# over an hour in blocks, and the question asked after a restart, again, and 20 times more. CPU is that of the server process.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir="$(mktemp -d)"
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; fi; rm -rf "$dir"' EXIT
(cd test/loadgen && go build -o "$dir/loadgen" .)
cat > "$dir/troupe.yaml" <<Y
server: {http_listen_address: 127.0.0.1, http_listen_port: 13200, grpc_listen_address: 127.0.0.1, grpc_listen_port: 19095}
distributor: {receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:14317"}, http: {endpoint: "127.0.0.1:14318"}}}}}
storage: {trace: {backend: local, wal: {path: $dir/log}, local: {path: $dir/blocks}}}
Y
url=http://127.0.0.1:13200
start() {
  "${TROUPE:-./bin/troupe}" -config.file="$dir/troupe.yaml" >> "$dir/log.txt" 2>&1 &
  pid=$!
  until curl -fs "$url/ready" > /dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || { tail -5 "$dir/log.txt"; exit 1; }
    sleep 0.05
  done
}
ask() {
  "$dir/loadgen" query -url "$url" -in "$dir/corpus.bin" -n "$1" -only "${ONLY:-metrics_quantile}" | tail -1
  "$dir/loadgen" usage -pid "$pid"
}
uncovered() { curl -fs "$url/metrics" | awk '/^troupe_live_store_next_offset/ {n+=$2} /^troupe_live_store_covered_offset/ {c+=$2} END {print n-c}'; }

"$dir/loadgen" gen -spans "${SPANS:-10000000}" -window 1h -seed "${SEED:-7}" -out "$dir/corpus.bin"
start
"$dir/loadgen" send -in "$dir/corpus.bin" -grpc 127.0.0.1:14317 -conc 8
for _ in $(seq 180); do [ "$(uncovered)" = 0 ] && break; sleep 1; done
kill "$pid"; wait "$pid" || true
start
sleep 2
echo "name, first and median in ms, and the CPU so far: after the start, the first time, the second, 20 more"
"$dir/loadgen" usage -pid "$pid"
ask 1
ask 1
ask 20
