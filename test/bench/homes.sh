#!/usr/bin/env bash
# Traces whose spans lie in two blocks: the rows "two homes" of docs/benchmarks.md. TRACES is the number of traces of two spans (default 200000),
# SPANS the size of the corpus for the suite (default 400000), N the runs of a query. A stop of the node makes the cut between the two homes.
set -euo pipefail
. "$(dirname "$0")/node.sh"
n="${N:-7}"
send_halves() { # NAME of the node, PERCENT of the traces that have two homes
  data="$dir/$1"
  "$dir/loadgen" split -in "$dir/corpus.bin" -percent "$2" -first "$dir/first.bin" -second "$dir/second.bin" > /dev/null
  for half in first second; do
    start
    send "$dir/$half.bin" | sed "s/^/$1, $half half: /"
    stop
  done
}

"$dir/loadgen" gen -spans "$(( ${TRACES:-200000} * 2 ))" -size 2 -window 80s -out "$dir/corpus.bin"
for percent in 0 100; do
  send_halves "pairs-$percent" "$percent"
  start
  sleep 2
  echo "== { } | count_over_time(), $percent % of the traces with two homes"
  "$dir/loadgen" query -url "$url" -in "$dir/corpus.bin" -n "$n" -metrics '{ } | count_over_time()'
  stop
  rm -rf "${dir:?}/pairs-$percent"
done

"$dir/loadgen" gen -spans "${SPANS:-400000}" -window 80s -out "$dir/corpus.bin"
for percent in 0 5 100; do
  send_halves "suite-$percent" "$percent"
  for run in 1 2 3; do
    start
    sleep 2
    "$dir/loadgen" query -url "$url" -in "$dir/corpus.bin" -n "$n" >> "$dir/suite-$percent.txt"
    stop
  done
  rm -rf "${dir:?}/suite-$percent"
done
echo "== the suite: of three starts the least, ms, by the share of the traces that have two homes"
awk '
  function least(table, key, v) { if (!(key in table) || v < table[key]) table[key] = v }
  $1 == "query" { next }
  FNR == 1 || !($1 in named) { if (!($1 in named)) { named[$1] = ++count; order[count] = $1 } }
  { match(FILENAME, /suite-[0-9]+/); share = substr(FILENAME, RSTART + 6, RLENGTH - 6)
    least(first, $1 " " share, $2 + 0); least(again, $1 " " share, $3 + 0)
    $1 = $1; answer = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ [^ ]+ /, "", answer); sub(/, inspected.*/, "", answer); answers[$1 " " share] = answer }
  END {
    printf "%-20s %30s   %30s\n", "", "first: 0 %, 5 %, 100 %", "again: 0 %, 5 %, 100 %"
    for (i = 1; i <= count; i++) {
      q = order[i]; same = answers[q " 0"] == answers[q " 5"] && answers[q " 0"] == answers[q " 100"] ? "" : "  DIFFERENT ANSWERS"
      f = first[q " 0"]; a = again[q " 0"]
      printf "%-20s %8.1f %8.1f (%.1fx) %8.1f (%.1fx)   %8.1f %8.1f (%.1fx) %8.1f (%.1fx)%s\n", q, f, first[q " 5"], first[q " 5"] / f,
        first[q " 100"], first[q " 100"] / f, a, again[q " 5"], again[q " 5"] / a, again[q " 100"], again[q " 100"] / a, same
    }
  }' "$dir/suite-0.txt" "$dir/suite-5.txt" "$dir/suite-100.txt"
