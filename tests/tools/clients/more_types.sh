#!/usr/bin/env bash
# orval and swagger-typescript-api: type-checked. A deletion without a body must compile with both.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$here/typescript.sh"
mkdir -p "$folder/orval" "$folder/sta"
cat >"$folder/orval.config.mjs" <<E2
export default { oms: { input: '$document', output: { target: '$folder/orval/client.ts', client: 'fetch' } } };
E2
"$npm/orval" --config "$folder/orval.config.mjs"
"$npm/swagger-typescript-api" generate --path "$document" --output "$folder/sta" --name client.ts
cp "$here/typescript/use_types_only.ts" "$folder/"
check "$folder" --noEmit
echo "a deletion needs no body"
