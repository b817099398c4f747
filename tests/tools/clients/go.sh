#!/usr/bin/env bash
# openapi-generator, go. Debian's compiler and validator library, so nothing comes over the network.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export GO111MODULE=off GOFLAGS=-mod=mod GOPROXY=off GOPATH=$folder/path:/usr/share/gocode GOCACHE=$cache/go
openapi_generator go "$folder/client"
mkdir -p "$folder/path/src/omsclient"
cp "$folder"/client/*.go "$folder/path/src/omsclient/"
go build -o "$folder/use" "$here/go/use.go"
exec "$folder/use"
