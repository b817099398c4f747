#!/usr/bin/env bash
# openapi-generator, rust; and progenitor, which reads OpenAPI 3.0: DOCUMENT is v1.json, v1-3.0.json lies beside it.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export CARGO_TARGET_DIR=$cache/rust
cp -r "$here/rust/." "$folder/"
openapi_generator rust "$folder/openapi"
cd "$folder"
# Cargo wants every member of the workspace to be there before it runs the one that writes this file.
mkdir -p progenitor/src
touch progenitor/src/lib.rs
cargo run --quiet --locked --package generate -- "${document%.json}-3.0.json" progenitor/src/lib.rs
cargo build --quiet --locked --package use
exec "$CARGO_TARGET_DIR/debug/use"
