#!/usr/bin/env bash
# Fetches the jars of Apache Kafka that tests and kafka.sh start, into .installed beside this script. Each must have
# the checksum of SHA256SUMS. What is there already is kept. Where Java or Maven is missing and apt-get is there, as in
# CI, they are installed from the packages of the system.
set -euo pipefail
cd "$(dirname "$0")"
out="$PWD/.installed"
stamp="$out/$(sha256sum pom.xml SHA256SUMS | sha256sum | cut -c 1-16)"
[ -f "$stamp" ] && command -v java >/dev/null && exit 0

missing=()
command -v java >/dev/null || missing+=(default-jre-headless)
command -v mvn >/dev/null || missing+=(maven)
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || { echo "Java 17 or newer and Maven are needed on PATH" >&2; exit 1; }
  apt-get update -qq && apt-get install -y -qq "${missing[@]}"
fi

rm -rf "$out"
mkdir -p "$out"
echo "Apache Kafka $(sed -n 's:.*<version>\([0-9.]*\)</version>:\1:p' pom.xml | sed -n 2p)"
fetch() {
  mvn -q -B -f pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$out/lib"
}
fetch || { sleep 5; fetch; }
if [ "${1:-}" = --pin ]; then # for whoever raises the version
  (cd "$out/lib" && sha256sum -- *.jar) >SHA256SUMS
  stamp="$out/$(sha256sum pom.xml SHA256SUMS | sha256sum | cut -c 1-16)"
fi
(cd "$out/lib" && sha256sum --quiet --strict -c ../../SHA256SUMS)
[ "$(ls "$out/lib" | wc -l)" = "$(wc -l <SHA256SUMS)" ] || { echo "there are jars that SHA256SUMS does not name" >&2; exit 1; }
touch "$stamp"
