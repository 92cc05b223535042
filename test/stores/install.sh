#!/usr/bin/env bash
# Installs the object stores that tests start into test/stores/.installed. What is there already is kept.
set -euo pipefail
cd "$(dirname "$0")"
out="$PWD/.installed"
mkdir -p "$out"

# install NAME MODULE builds a Go program outside of this module, so that its dependencies stay out of go.mod.
install() {
  stamp="$out/.$(basename "$1")-${2##*@}"
  [ -f "$stamp" ] && return
  echo "$1 ${2##*@}"
  (cd "$out" && GOBIN="$out" GOFLAGS=-mod=mod go install "$2")
  touch "$stamp"
}

install versitygw github.com/versity/versitygw/cmd/versitygw@v1.8.0
install fake-gcs-server github.com/fsouza/fake-gcs-server@v1.56.1

azurite=3.37.0
if [ ! -f "$out/.azurite-$azurite" ]; then
  echo "azurite $azurite"
  (cd "$out" && npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix . "azurite@$azurite")
  touch "$out/.azurite-$azurite"
fi
