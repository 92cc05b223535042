#!/usr/bin/env bash
# The soak row of docs/benchmarks.md: one node with default settings, and new traces at full rate for FOR (default 10m).
# The blocks stay until the end: the folder needs about 45 bytes a span, 9 GB for 200 million. They are removed with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir="$(mktemp -d)"
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; fi; rm -rf "$dir"' EXIT
[ "$(df -k --output=avail "$dir" | tail -1)" -gt $((14 << 20)) ] || { echo "soak: $dir has less than 14 GB free" >&2; exit 1; }
(cd test/loadgen && go build -o "$dir/loadgen" .)
go build -o "$dir/soak" ./test/bench/soak
cat > "$dir/troupe.yaml" <<Y
server: {http_listen_address: 127.0.0.1, http_listen_port: 13230, grpc_listen_address: 127.0.0.1, grpc_listen_port: 19235, admin_listen_port: 13231}
distributor: {receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:14237"}, http: {endpoint: "127.0.0.1:14238"}}}}}
storage: {trace: {backend: local, wal: {path: $dir/log}, local: {path: $dir/blocks}}}
Y
"$dir/loadgen" gen -spans "${SPANS:-200000}" -window 5s -seed "${SEED:-7}" -out "$dir/corpus.bin"
"${TROUPE:-./bin/troupe}" -config.file="$dir/troupe.yaml" ${ARGS:-} > "$dir/log.txt" 2>&1 &
pid=$!
until curl -fs http://127.0.0.1:13230/ready > /dev/null 2>&1; do
  kill -0 "$pid" 2>/dev/null || { tail -5 "$dir/log.txt"; exit 1; }
  sleep 0.05
done
grep 'size of the process' "$dir/log.txt" || true
"$dir/soak" -in "$dir/corpus.bin" -grpc 127.0.0.1:14237 -url http://127.0.0.1:13230 -pid "$pid" -for "${FOR:-10m}"
echo "stored: $(du -sm "$dir/blocks" | cut -f1) MB in $(find "$dir/blocks" -name meta.json | wc -l) blocks"
