#!/usr/bin/env bash
# Queries of several tenants beside each other: the rows "fair" of docs/benchmarks.md. SPANS is the size of each of the eight tenants (default 125000).
set -euo pipefail
cd "$(dirname "$0")/../.."
dir="$(mktemp -d)"
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; fi; rm -rf "$dir"' EXIT
(cd test/loadgen && go build -o "$dir/loadgen" .)
go build -o "$dir/fair" ./test/bench/fair
cat > "$dir/troupe.yaml" <<Y
multitenancy_enabled: true
server: {http_listen_address: 127.0.0.1, http_listen_port: 13200, grpc_listen_address: 127.0.0.1, grpc_listen_port: 19095}
distributor: {receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:14317"}, http: {endpoint: "127.0.0.1:14318"}}}}}
storage: {trace: {backend: local, wal: {path: $dir/log}, local: {path: $dir/blocks}}}
Y
./bin/troupe -config.file="$dir/troupe.yaml" > "$dir/log.txt" 2>&1 &
pid=$!
until curl -fs http://127.0.0.1:13200/ready > /dev/null 2>&1; do
  kill -0 "$pid" 2>/dev/null || { tail -5 "$dir/log.txt"; exit 1; }
  sleep 0.05
done
start=$(( $(date +%s) - 120 ))
"$dir/loadgen" gen -spans "${SPANS:-125000}" -window 80s -out "$dir/corpus.bin" > /dev/null
for t in 0 1 2 3 4 5 6 7; do "$dir/loadgen" send -in "$dir/corpus.bin" -grpc 127.0.0.1:14317 -conc 4 -tenant "t$t" > /dev/null; done
sleep 3
"$dir/fair" -url http://127.0.0.1:13200 -start "$start" -end "$(( $(date +%s) + 60 ))" -for "${FOR:-10s}"
echo "node: $("$dir/loadgen" usage -pid "$pid")"
