#!/usr/bin/env bash
# generate_client.sh DOCUMENT FOLDER : generates a Python client from an OpenAPI document into FOLDER (a package) and imports all of it.
# A warning of the generator fails: it warns where it left an operation or a schema out.
set -euo pipefail
: "${OMS_TEST_TOOLS:?must name the folder that tests/run --tools-only filled}"
[ $# = 2 ] || { sed -n 2,3p "$0" >&2; exit 2; }
bin=$OMS_TEST_TOOLS/python/bin
mkdir -p "$2"
folder=$(cd "$2" && pwd)

# Formatting and linting what nobody reads takes half of the time; the generator would also look for ruff on PATH.
config=$(mktemp)
trap 'rm -f "$config"' EXIT
printf 'post_hooks: []\n' >"$config"

"$bin/openapi-python-client" generate --meta none --overwrite --fail-on-warning \
  --config "$config" --path "$1" --output-path "$folder"

# Generated code that does not import is found here, not by the first test that happens to need it.
"$bin/python" - "$folder" <<'PY'
import importlib, pathlib, sys

folder = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(folder.parent))
files = sorted(folder.rglob("*.py"))
for file in files:
    parts = file.relative_to(folder.parent).with_suffix("").parts
    importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
print(f"{len(files)} modules of {folder.name} import")
PY
