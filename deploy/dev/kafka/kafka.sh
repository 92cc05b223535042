#!/usr/bin/env bash
# usage: kafka.sh start [FOLDER] | stop [FOLDER]
# One broker of Apache Kafka on 127.0.0.1:9092 for development, with its data in FOLDER (data/kafka). PORT is another
# port; the next one is its controller's.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
folder="${2:-data/kafka}" port="${PORT:-9092}"
mkdir -p "$folder"
folder="$(cd "$folder" && pwd)"

case "${1:-}" in
start)
  "$here/install.sh"
  if [ ! -f "$folder/server.properties" ]; then
    cat >"$folder/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=CLIENT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=CLIENT://127.0.0.1:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$folder/log
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
auto.create.topics.enable=false
END
    name="A$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c 2-22)" # no dash in front, which begins a flag
    java -Xmx128m -cp "$here/.installed/lib/*" kafka.tools.StorageTool format -t "$name" \
      -c "$folder/server.properties" >"$folder/format.out" 2>&1 || { cat "$folder/format.out"; exit 1; }
  fi
  java -Xmx384m -XX:+UseSerialGC -Dlog4j2.configurationFile="file:$here/log4j2.yaml" -cp "$here/.installed/lib/*" \
    kafka.Kafka "$folder/server.properties" >"$folder/server.out" 2>&1 &
  echo $! >"$folder/pid"
  for _ in $(seq 120); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "Kafka listens on 127.0.0.1:$port; its log is $folder/server.out"
      exit 0
    fi
    kill -0 "$(cat "$folder/pid")" 2>/dev/null || break
    sleep 0.5
  done
  tail -20 "$folder/server.out"
  exit 1
  ;;
stop)
  [ -f "$folder/pid" ] || { echo "no broker was started in $folder"; exit 0; }
  kill "$(cat "$folder/pid")" 2>/dev/null || true
  for _ in $(seq 60); do kill -0 "$(cat "$folder/pid")" 2>/dev/null || break; sleep 0.5; done
  rm "$folder/pid"
  ;;
*)
  sed -n 2,4p "$0"
  exit 1
  ;;
esac
