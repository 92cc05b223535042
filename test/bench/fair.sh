#!/usr/bin/env bash
# Queries of several tenants beside each other: the rows "fair" of docs/benchmarks.md. SPANS is the size of each of the eight tenants (default 125000).
set -euo pipefail
. "$(dirname "$0")/node.sh"
go build -o "$dir/fair" ./test/bench/fair
start -set multitenancy_enabled=true
since=$(( $(date +%s) - 120 ))
"$dir/loadgen" gen -spans "${SPANS:-125000}" -window 80s -out "$dir/corpus.bin" > /dev/null
for t in 0 1 2 3 4 5 6 7; do send "$dir/corpus.bin" 4 -tenant "t$t" > /dev/null; done
sleep 3
"$dir/fair" -url "$url" -start "$since" -end "$(( $(date +%s) + 60 ))" -for "${FOR:-10s}"
echo "node: $(usage)"
