#!/usr/bin/env bash
# openapi-generator, go. Debian's compiler and validator library, so nothing comes over the network.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export GO111MODULE=off GOFLAGS=-mod=mod GOPROXY=off GOPATH=$folder/path GOCACHE=$cache/go
openapi_generator go "$folder/client"
mkdir -p "$folder/path/src/omsclient" "$folder/path/src/gopkg.in"
cp "$folder"/client/*.go "$folder/path/src/omsclient/"
# The client's go.mod asks for validator 2.0.1, which takes values of every kind. Debian packages that of 2016, which refuses
# all but structs, such as the string in the union `error_reason`.
library=$folder/path/src/gopkg.in/validator.v2
cp -r /usr/share/gocode/src/gopkg.in/validator.v2 "$library"
sed -i '/sv.Kind() != reflect.Struct/,+1 s/return ErrUnsupported/return nil/' "$library/validator.go"
go build -o "$folder/use" "$here/go/use.go"
exec "$folder/use"
