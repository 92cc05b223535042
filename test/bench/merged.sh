#!/usr/bin/env bash
# The rows of docs/benchmarks.md about queries and stored bytes after merging: SPANS spans (default 1000000) in the blocks as they were cut, as the
# node has merged them, and in one block (test/bench/oneblock); the suite of queries in STARTS starts of the node each (default 5), in turn.
# First is the least first run, again the least median of N (default 7); both against one block.
set -euo pipefail
. "$(dirname "$0")/node.sh"
go build -o "$dir/oneblock" ./test/bench/oneblock
"$dir/loadgen" gen -spans "${SPANS:-1000000}" -window 80s -out "$dir/corpus.bin"
never="-set backend_scheduler.max_block_spans=0"
bytes="-set block_builder.max_block_bytes=${CUT:-8MiB}" # so that there is something to merge
data="$dir/cut"
start $never $bytes
send "$dir/corpus.bin"
await_blocks
stop
cp -r "$dir/cut" "$dir/merged"
data="$dir/merged"
start
await_merges
stop
cp -r "$dir/merged" "$dir/one"
"$dir/oneblock" -dir "$dir/one/blocks" -merge > /dev/null
for kind in cut merged one; do echo "$kind: $("$dir/oneblock" -dir "$dir/$kind/blocks")"; done
for run in $(seq "${STARTS:-5}"); do
  for kind in cut merged one; do
    data="$dir/$kind"
    start $never
    sleep 3
    before="$(cpu)"
    "$dir/loadgen" query -url "$url" -in "$dir/corpus.bin" -n 1 >> "$dir/suite-$kind.txt"
    echo "$kind, start $run: CPU of the suite, first runs $(awk -v a="$(cpu)" -v b="$before" 'BEGIN {printf "%.2f", a-b}') s"
    "$dir/loadgen" query -url "$url" -in "$dir/corpus.bin" -n "${N:-7}" | awk '{$2 = 1e9; print}' >> "$dir/suite-$kind.txt"
    stop
  done
done
awk '
  function least(table, key, v) { if (!(key in table) || v < table[key]) table[key] = v }
  $1 == "query" { next }
  { kind = FILENAME; sub(/.*suite-/, "", kind); sub(/\.txt/, "", kind)
    if (!($1 in named)) { named[$1] = ++count; order[count] = $1 }
    least(first, $1 " " kind, $2 + 0); if ($2 == 1e9) least(again, $1 " " kind, $3 + 0) }
  END {
    printf "%-20s %36s   %36s\n", "ms", "first: one block, merged, cut", "again: one block, merged, cut"
    for (i = 1; i <= count; i++) {
      q = order[i]; f = first[q " one"]; a = again[q " one"]
      printf "%-20s %8.1f %8.1f (%.2fx) %8.1f (%.2fx)   %8.1f %8.1f (%.2fx) %8.1f (%.2fx)\n", q, f, first[q " merged"], first[q " merged"] / f,
        first[q " cut"], first[q " cut"] / f, a, again[q " merged"], again[q " merged"] / a, again[q " cut"], again[q " cut"] / a
    }
  }' "$dir/suite-cut.txt" "$dir/suite-merged.txt" "$dir/suite-one.txt"
