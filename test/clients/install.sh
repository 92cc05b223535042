#!/usr/bin/env bash
# Installs the clients of `make clients` into test/clients/.installed: a Collector, a Go program, a Python
# environment, Node.js packages and the Java agent. What is there already is kept.
set -euo pipefail
cd "$(dirname "$0")"
out="$PWD/.installed"
mkdir -p "$out"

for command in go python3 npm java javac mvn; do
  command -v "$command" >/dev/null || { echo "make clients needs $command" >&2; exit 1; }
done

echo "Collector and Go program"
(cd collector && go build -o "$out/collector" .)
(cd gosdk && go build -o "$out/gosdk" .)

echo "Python environment"
[ -x "$out/python/bin/python" ] || python3 -m venv "$out/python"
"$out/python/bin/pip" install -q --disable-pip-version-check -r python/requirements.txt

echo "Node.js packages"
mkdir -p "$out/node"
cp node/package.json node/app.js "$out/node/"
(cd "$out/node" && npm install --silent --no-package-lock --no-audit --no-fund)

echo "Java agent"
agent=2.31.1
[ -f "$out/java/opentelemetry-javaagent-$agent.jar" ] ||
  mvn -q -B dependency:copy -Dartifact="io.opentelemetry.javaagent:opentelemetry-javaagent:$agent" -DoutputDirectory="$out/java"
ln -sf "opentelemetry-javaagent-$agent.jar" "$out/java/agent.jar"
javac -d "$out/java" java/Shop.java
