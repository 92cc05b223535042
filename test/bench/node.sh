# What the scripts of this folder share; they source it. It makes the folder $dir, which goes with the script, and builds
# loadgen there. TROUPE names another binary than ./bin/troupe.
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
dir="$(mktemp -d)"
url=http://127.0.0.1:13200
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; fi; rm -rf "$dir"' EXIT
(cd test/loadgen && go build -o "$dir/loadgen" .)

# start [FLAG...] starts a node with default settings and waits until it is ready. Its data are below $data.
data="$dir"
start() {
  cat > "$dir/troupe.yaml" <<Y
server: {http_listen_address: 127.0.0.1, http_listen_port: 13200, grpc_listen_address: 127.0.0.1, grpc_listen_port: 19095, admin_listen_port: 13201}
distributor: {receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:14317"}, http: {endpoint: "127.0.0.1:14318"}}}}}
storage: {trace: {backend: local, wal: {path: $data/log}, local: {path: $data/blocks}}}
Y
  ! curl -s "$url/ready" > /dev/null || { echo "another node listens on $url" >&2; exit 1; }
  "${TROUPE:-./bin/troupe}" -config.file="$dir/troupe.yaml" "$@" >> "$dir/log.txt" 2>&1 &
  pid=$!
  until curl -fs "$url/ready" > /dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || { tail -5 "$dir/log.txt"; exit 1; }
    sleep 0.01
  done
}
stop() { kill "$pid"; wait "$pid" || true; pid=; }
send() { "$dir/loadgen" send -in "$1" -grpc 127.0.0.1:14317 -conc "${2:-8}" "${@:3}"; } # FILE [CONNECTIONS [FLAG...]]
usage() { "$dir/loadgen" usage -pid "$pid"; }
uncovered() { # records that are in no block yet
  curl -fs "$url/metrics" | awk '/^troupe_live_store_next_offset/ {n+=$2} /^troupe_live_store_covered_offset/ {c+=$2} END {print n-c}'
}
await_blocks() { for _ in $(seq 180); do [ "$(uncovered)" = 0 ] && break; sleep 1; done; }
metric() { curl -fs "$url/metrics" | awk -v n="$1" '$1 == n {print $2}'; } # NAME, without labels
cpu() { usage | sed -E 's/cpu ([0-9.]+)s.*/\1/'; } # seconds so far
await_merges() { # until nothing is due, twice in a row: what has just been cut is looked at after a while
  local quiet=0
  while [ "$quiet" -lt 2 ]; do
    sleep 15
    if [ "$(uncovered)" = 0 ] && [ "$(metric troupe_backend_scheduler_debt_blocks)" = 0 ]; then quiet=$((quiet + 1)); else quiet=0; fi
  done
}
