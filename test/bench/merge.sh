#!/usr/bin/env bash
# The rows of docs/benchmarks.md about what merging takes. First one partition with SPANS spans (default 5000000), which end in a merge
# of up to four million; CPU and memory are those of a node that does nothing else. Then pushes at RATE spans a second (default 50000)
# for PUSH spans (default 1500000), with and without merging beside them, ROUNDS times (default 3).
set -euo pipefail
. "$(dirname "$0")/node.sh"
go build -o "$dir/soak" ./test/bench/soak
go build -o "$dir/oneblock" ./test/bench/oneblock
never="-set backend_scheduler.max_block_spans=0"
small="-set block_builder.max_block_bytes=8MiB" # so that merges begin at once

echo "== merges of up to four million spans"
one="-set storage.trace.wal.partitions=1"
"$dir/loadgen" gen -spans 500000 -window 5s -out "$dir/corpus.bin"
start $one $never
"$dir/soak" -in "$dir/corpus.bin" -grpc 127.0.0.1:14317 -url "$url" -pid "$pid" -for 1h -spans "${SPANS:-5000000}" | tail -3
await_blocks
stop
"$dir/oneblock" -dir "$dir/blocks"
start $one -set backend_scheduler.max_block_spans=4194304
before="$(cpu)"
await_merges
echo "merges $(metric troupe_backend_worker_merges_total), spans $(metric troupe_backend_worker_merged_spans_total): $(usage)"
awk -v a="$(cpu)" -v b="$before" -v n="$(metric troupe_backend_worker_merged_spans_total)" \
  'BEGIN {printf "CPU of a merge: %.2f us a span\n", (a-b)/n*1e6}'
stop
"$dir/oneblock" -dir "$dir/blocks"
grep -o 'msg="blocks merged".*' "$dir/log.txt" | grep -oE 'inputs=.*' | sort -t= -k3 -n | tail -3
rm -rf "$dir/log" "$dir/blocks"

echo "== pushes beside merging"
"$dir/loadgen" gen -spans "${PUSH:-1500000}" -window 30s -out "$dir/corpus.bin" > /dev/null
for round in $(seq "${ROUNDS:-3}"); do
  for merging in without with; do # what was pushed without merging is merged in the next run
    start $small $([ $merging = with ] || echo $never)
    send "$dir/corpus.bin" 8 -rate "${RATE:-50000}" | sed "s/^/$merging merging: /"
    echo "$merging merging: $(usage), merged spans $(metric troupe_backend_worker_merged_spans_total)"
    stop
  done
done
