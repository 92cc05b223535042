#!/usr/bin/env bash
# The row of docs/benchmarks.md about quantiles over an hour: one node with default settings, SPANS spans (default 10000000)
# over an hour in blocks, and the question asked after a restart, again, and 20 times more. CPU is that of the server process.
set -euo pipefail
. "$(dirname "$0")/node.sh"
ask() {
  "$dir/loadgen" query -url "$url" -in "$dir/corpus.bin" -n "$1" -only "${ONLY:-metrics_quantile}" | tail -1
  usage
}

"$dir/loadgen" gen -spans "${SPANS:-10000000}" -window 1h -seed "${SEED:-7}" -out "$dir/corpus.bin"
start
send "$dir/corpus.bin"
await_blocks
stop
start
sleep 2
echo "name, first and median in ms, and the CPU so far: after the start, the first time, the second, 20 more"
usage
ask 1
ask 1
ask 20
