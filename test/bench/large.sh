#!/usr/bin/env bash
# The rows of docs/benchmarks.md about SPANS spans on local disk (default 100000000), merged: first runs of some queries over all of them, in
# three starts of the node. Two million spans are sent again and again with other ids and times, so that values repeat after two million spans.
# Retired blocks go as early as they may. It needs about 60 bytes of disk a span.
set -euo pipefail
. "$(dirname "$0")/node.sh"
spans="${SPANS:-100000000}"
[ "$(df -k --output=avail "$dir" | tail -1)" -gt $((spans * 60 >> 10)) ] || { echo "large: $dir has less than 60 bytes a span free" >&2; exit 1; }
go build -o "$dir/soak" ./test/bench/soak
go build -o "$dir/oneblock" ./test/bench/oneblock
"$dir/loadgen" gen -spans 2000000 -window 5s -out "$dir/corpus.bin"
head -c $(( $(od -An -tu4 -N4 "$dir/corpus.bin") + 4 )) "$dir/corpus.bin" > "$dir/header.bin" # what the queries are about
began="$(date +%s)"
start -set block_builder.build_timeout=30s -set query_frontend.max_query_duration=30s -set backend_scheduler.retired_grace=150s
"$dir/soak" -in "$dir/corpus.bin" -grpc 127.0.0.1:14317 -url "$url" -pid "$pid" -for 3h -spans "$spans" | awk 'NR % 6 == 0 || /in|peak/'
ended="$(date +%s)"
rm "$dir/corpus.bin"
await_blocks
echo "in blocks after $(( $(date +%s) - began )) s, log $(du -sm "$dir/log" | cut -f1) MB, bucket $(du -sm "$dir/blocks" | cut -f1) MB"
await_merges
echo "merged after $(( $(date +%s) - began )) s: $(usage), $(metric troupe_backend_worker_merged_spans_total) spans merged"
stop
"$dir/oneblock" -dir "$dir/blocks"
for run in 1 2 3; do
  start
  sleep "${REST:-5}"
  echo "== start $run: $(usage)"
  for only in trace_by_id search_service search_error search_needle search_nomatch metrics_rate_by metrics_quantile; do
    for n in 1 5; do # first, and again
      before="$(cpu)"
      line="$("$dir/loadgen" query -url "$url" -in "$dir/header.bin" -start "$((began - 10))" -end "$((ended + 10))" -n $n -only "$only" | tail -1)"
      echo "$([ $n = 1 ] && echo first || echo again): $line; CPU $(awk -v a="$(cpu)" -v b="$before" -v n=$n 'BEGIN {printf "%.0f", 1000*(a-b)/n}') ms"
    done
  done
  echo "after them: $(usage)"
  stop
done
