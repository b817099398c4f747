#!/usr/bin/env bash
# schemathesis.sh BASE_URL TOKEN PROJECT_ID [arguments of `schemathesis run`...]
# Sends the service requests made from its own OpenAPI document, valid and broken ones, and fails when an answer is a 5xx
# or is not one that the document describes.
set -euo pipefail
: "${OMS_TEST_TOOLS:?must name the folder that tests/run --tools-only filled}"
[ $# -ge 3 ] || { sed -n 2,4p "$0" >&2; exit 2; }
base=${1%/} token=$2 project=$3
shift 3

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# In any project but this one a request ends at the check of the token, and nothing behind it is tested.
# The token comes through the environment, so that no list of processes shows it.
cat >"$folder/schemathesis.toml" <<'TOML'
headers = { X-Auth-Token = "${OMS_FUZZ_TOKEN}" }

[parameters]
"path.project_id" = "${OMS_FUZZ_PROJECT}"
"path.domain_id" = "${OMS_FUZZ_PROJECT}"

# A token or a project that is refused would leave nothing tested, and every answer as documented.
[warnings]
display = ["missing_auth"]
fail-on = ["missing_auth"]
TOML

# Checks: those that say something about the service. Left out are the opinions on which broken input must be refused
# (this API ignores unknown fields on purpose) and on authentication and methods, which have tests of their own.
# Bounds: one worker, a fixed seed and a number of examples make the same requests each time.
cd "$folder"
export OMS_FUZZ_TOKEN=$token OMS_FUZZ_PROJECT=$project
"$OMS_TEST_TOOLS/python/bin/schemathesis" --config-file "$folder/schemathesis.toml" run "$base/openapi/v1.json" \
  --url "$base" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
  --phases examples,coverage,fuzzing \
  --max-examples 25 --seed 1 --workers 1 --request-timeout 10 \
  --generation-database none --no-color "$@"
