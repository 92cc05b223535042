#!/usr/bin/env bash
# The rows of docs/benchmarks.md about one long trace: a node with default settings, SPANS spans (default 1000000) of one trace, which is read
# by its id N times in each form, from live segments and blocks, then from blocks after a restart; and unselective queries beside it.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir="$(mktemp -d)"
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; fi; rm -rf "$dir"' EXIT
(cd test/loadgen && go build -o "$dir/loadgen" .)
go build -o "$dir/long" ./test/bench/long
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
    sleep 0.01
  done
}
read_trace() { echo "== $1"; "$dir/long" -url "$url" -id "$id" -pid "$pid" -n "${N:-5}"; "$dir/loadgen" usage -pid "$pid"; }

"$dir/loadgen" gen -one -spans "${SPANS:-1000000}" -out "$dir/one.bin"
id="$(head -c 400 "$dir/one.bin" | grep -ao '"SampleIDs":\["[0-9a-f]*' | grep -o '[0-9a-f]*$')"
start
"$dir/loadgen" send -in "$dir/one.bin" -grpc 127.0.0.1:14317 -conc 8
"$dir/loadgen" usage -pid "$pid"
read_trace "just sent"
kill "$pid"; wait "$pid" || true
start
read_trace "all in blocks, after a restart"
echo "== the suite of queries, over this trace alone"
"$dir/loadgen" query -url "$url" -in "$dir/one.bin" -n "${N:-5}"
