#!/usr/bin/env bash
# openapi-generator, typescript-fetch, type-checked with the pinned TypeScript and run by Node.js.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$here/typescript.sh"
openapi_generator typescript-fetch "$folder/client"
cp "$here/typescript/use_fetch.ts" "$here/typescript/environment.ts" "$folder/"
check "$folder" --outDir "$folder/js"
exec node "$folder/js/use_fetch.js"
