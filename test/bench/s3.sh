#!/usr/bin/env bash
# The row of docs/benchmarks.md about ingest with an object store: SPANS spans (default 2000000) at full rate to a node with its blocks in
# a folder and to one with them in versitygw (make stores), until all are in blocks, in turn, ROUNDS times (default 3).
set -euo pipefail
. "$(dirname "$0")/node.sh"
store=test/stores/.installed/versitygw
[ -x "$store" ] || { echo "versitygw is absent (make stores)" >&2; exit 1; }
mkdir -p "$dir/store/traces" "$dir/attributes"
"$store" --port 127.0.0.1:17070 --access troupe --secret troupe-secret --keep-alive --quiet posix --sidecar "$dir/attributes" "$dir/store" > "$dir/gateway.txt" 2>&1 &
gateway=$!
trap 'kill "$gateway" 2>/dev/null; if [ -n "$pid" ]; then kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; fi; rm -rf "$dir"' EXIT
until curl -s http://127.0.0.1:17070 > /dev/null; do sleep 0.1; done
key=storage.trace.s3
flags="-set storage.trace.backend=s3 -set $key.endpoint=127.0.0.1:17070 -set $key.bucket=traces -set $key.access_key=troupe \
  -set $key.secret_key=troupe-secret -set $key.insecure=true"
"$dir/loadgen" gen -spans "${SPANS:-2000000}" -window 80s -out "$dir/corpus.bin"
for round in $(seq "${ROUNDS:-3}"); do
  for kind in local versitygw; do
    data="$dir/$kind-$round"
    start $([ $kind = local ] || echo "$flags")
    began="$(date +%s%N)"
    send "$dir/corpus.bin" | sed "s/^/$kind: /"
    await_blocks
    echo "$kind: all in blocks after $(( ($(date +%s%N) - began) / 1000000 )) ms, node $(usage), store $([ $kind = local ] || "$dir/loadgen" usage -pid "$gateway")"
    stop
    rm -rf "$data" "$dir"/store/traces/* "$dir"/attributes/*
  done
done
