#!/usr/bin/env bash
# The soak row of docs/benchmarks.md: one node with default settings, and new traces at full rate for FOR (default 10m).
# The blocks stay until the end: the folder needs about 45 bytes a span, 9 GB for 200 million. They are removed with it.
set -euo pipefail
. "$(dirname "$0")/node.sh"
[ "$(df -k --output=avail "$dir" | tail -1)" -gt $((14 << 20)) ] || { echo "soak: $dir has less than 14 GB free" >&2; exit 1; }
go build -o "$dir/soak" ./test/bench/soak
"$dir/loadgen" gen -spans "${SPANS:-200000}" -window 5s -seed "${SEED:-7}" -out "$dir/corpus.bin"
start ${ARGS:-}
grep 'size of the process' "$dir/log.txt" || true
"$dir/soak" -in "$dir/corpus.bin" -grpc 127.0.0.1:14317 -url "$url" -pid "$pid" -for "${FOR:-10m}"
echo "stored: $(du -sm "$dir/blocks" | cut -f1) MB in $(find "$dir/blocks" -name meta.json | wc -l) blocks"
