#!/usr/bin/env bash
# types.sh DOCUMENT FOLDER [USE.ts...] : generates TypeScript types from an OpenAPI document into FOLDER/schema.d.ts and
# type-checks them, with the given files that use them (`import type { paths, components } from "./schema"`).
set -euo pipefail
: "${OMS_TEST_TOOLS:?must name the folder that tests/run --tools-only filled}"
[ $# -ge 2 ] || { sed -n 2,3p "$0" >&2; exit 2; }
bin=$OMS_TEST_TOOLS/npm/node_modules/.bin
document=$1 folder=$2
shift 2
mkdir -p "$folder"
"$bin/openapi-typescript" "$document" --output "$folder/schema.d.ts"
for use in "$@"; do cp "$use" "$folder/"; done

# `types: []` keeps the machine's own @types out; without skipLibCheck: false a .d.ts file is not checked in full.
cat >"$folder/tsconfig.json" <<'JSON'
{
  "compilerOptions": {
    "noEmit": true,
    "strict": true,
    "exactOptionalPropertyTypes": true,
    "skipLibCheck": false,
    "types": [],
    "target": "es2022",
    "module": "esnext",
    "moduleResolution": "bundler"
  },
  "include": ["*.ts"]
}
JSON
"$bin/tsc" --project "$folder"
echo "schema.d.ts type-checks"
