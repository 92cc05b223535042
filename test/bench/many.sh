#!/usr/bin/env bash
# The rows of docs/benchmarks.md about many blocks: a node that starts with BLOCKS blocks (default 20000) of 60 spans each over two weeks, all
# of them whole (test/bench/manyblocks), with a snapshot of the catalog and 999 commits after it. First in a folder, then in versitygw
# (make stores), which serves the same files.
set -euo pipefail
. "$(dirname "$0")/node.sh"
go build -o "$dir/manyblocks" ./test/bench/manyblocks
mkdir -p "$dir/store"
"$dir/manyblocks" -dir "$dir/store/traces" -blocks "${BLOCKS:-20000}" | tee "$dir/made.txt"
ask() { # NAME PATH
  local took
  for run in first again again; do
    took="$(curl -fs -o "$dir/answer" -w '%{time_total}' "$url$2" | awk '{printf "%.1f", 1000*$1}')"
    echo "$1, $run: $took ms, $(wc -c < "$dir/answer") bytes"
  done
}
measure() { # NAME of the store, FLAG...
  for run in 1 2 3; do
    local t0; t0=$(date +%s%N)
    start "${@:2}"
    echo "$1, start $run: ready after $(( ($(date +%s%N) - t0) / 1000000 )) ms, $(usage)"
    [ $run = 3 ] || stop
  done
  sleep 20
  echo "$1, indexes opened ahead: $(usage)"
  local now; now="$(date +%s)"
  while read -r _ id; do ask "$1, trace by id" "/api/v2/traces/$id"; done < <(grep '^trace' "$dir/made.txt")
  ask "$1, errors of the last hour" "/api/search?q=%7Bstatus=error%7D&start=$(( now - 3600 ))&end=$now"
  ask "$1, errors of the last week" "/api/search?q=%7Bstatus=error%7D&start=$(( now - 600000 ))&end=$now"
  ask "$1, count of the last day" "/api/metrics/query_range?q=%7B%7D%7Ccount_over_time()&step=1h&start=$(( now - 86000 ))&end=$now"
  echo "$1, in the end: $(usage)"
  stop
}

measure local -set "storage.trace.local.path=$dir/store/traces"
store=test/stores/.installed/versitygw
[ -x "$store" ] || { echo "versitygw is absent (make stores)"; exit 0; }
mkdir "$dir/attributes"
"$store" --port 127.0.0.1:17070 --access troupe --secret troupe-secret --keep-alive --quiet posix --sidecar "$dir/attributes" "$dir/store" &
gateway=$!
trap 'kill "$gateway" 2>/dev/null; if [ -n "$pid" ]; then kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; fi; rm -rf "$dir"' EXIT
until curl -s http://127.0.0.1:17070 > /dev/null; do sleep 0.1; done
s3=storage.trace
measure versitygw -set $s3.backend=s3 -set $s3.s3.endpoint=127.0.0.1:17070 -set $s3.s3.bucket=traces -set $s3.s3.access_key=troupe \
  -set $s3.s3.secret_key=troupe-secret -set $s3.s3.insecure=true
