#!/usr/bin/env bash
# The rows of docs/benchmarks.md about one long trace: a node with default settings, SPANS spans (default 1000000) of one trace, which is read
# by its id N times in each form, from live segments and blocks, then from blocks after a restart; and unselective queries beside it.
set -euo pipefail
. "$(dirname "$0")/node.sh"
go build -o "$dir/long" ./test/bench/long
read_trace() { echo "== $1"; "$dir/long" -url "$url" -id "$id" -pid "$pid" -n "${N:-5}"; usage; }

"$dir/loadgen" gen -one -spans "${SPANS:-1000000}" -out "$dir/one.bin"
id="$(head -c 400 "$dir/one.bin" | grep -ao '"SampleIDs":\["[0-9a-f]*' | grep -o '[0-9a-f]*$')"
start
send "$dir/one.bin"
usage
read_trace "just sent"
stop
start
read_trace "all in blocks, after a restart"
echo "== the suite of queries, over this trace alone"
"$dir/loadgen" query -url "$url" -in "$dir/one.bin" -n "${N:-5}"
