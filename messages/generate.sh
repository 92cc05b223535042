#!/usr/bin/env bash
# Generates the Go code of messages/**/*.proto. Needs protoc (Debian: protobuf-compiler); the plugins are built at the versions below.
set -euo pipefail
cd "$(dirname "$0")/.."
bin="$(mktemp -d)"
trap 'rm -rf "$bin"' EXIT
GOBIN="$bin" go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
GOBIN="$bin" go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.0
find messages -name '*.proto' | sort | xargs protoc --plugin="$bin/protoc-gen-go" --plugin="$bin/protoc-gen-go-grpc" -I . \
  --go_out=. --go_opt=module=github.com/troupe-tracing/troupe \
  --go-grpc_out=. --go-grpc_opt=module=github.com/troupe-tracing/troupe
