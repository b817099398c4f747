#!/usr/bin/env bash
# hey-api (@hey-api/openapi-ts), type-checked and run by Node.js.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$here/typescript.sh"
"$npm/openapi-ts" --input "$document" --output "$folder/client" --no-log-file
cp "$here/typescript/use_hey.ts" "$here/typescript/environment.ts" "$folder/"
check "$folder" --outDir "$folder/js"
exec node "$folder/js/use_hey.js"
