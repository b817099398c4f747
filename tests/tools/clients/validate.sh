#!/usr/bin/env bash
# openapi-generator's own check of a document.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
java -XX:TieredStopAtLevel=1 -jar "$generator_jar" validate -i "$document"
