#!/usr/bin/env bash
# openapi-generator, csharp: generated only, as no package here has its compiler, and searched for what once made it fail.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
openapi_generator csharp "$folder/client"
without 'if \( *!= null\)|ERRORUNKNOWN|ERROR_UNKNOWN' "$folder/client/src"
echo "no known fault"
