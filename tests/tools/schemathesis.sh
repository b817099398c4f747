#!/usr/bin/env bash
# schemathesis.sh BASE_URL TOKEN PROJECT_ID [arguments of `schemathesis run`...]
# Sends the service requests made from its own OpenAPI document, valid and broken ones, and fails when an answer is a 5xx
# or is not one that the document describes. With OMS_TEST_FUZZ_TASK in the environment, every request is about that task.
set -euo pipefail
: "${OMS_TEST_TOOLS:?must name the folder that tests/run --tools-only filled}"
[ $# -ge 3 ] || { sed -n 2,4p "$0" >&2; exit 2; }
base=${1%/} token=$2 project=$3
shift 3

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# In any project but this one a request ends at the check of the token, and nothing behind it is tested.
# The token comes through the environment, so that no list of processes shows it.
config=$folder/schemathesis.toml
cat >"$config" <<'TOML'
headers = { X-Auth-Token = "${OMS_TEST_FUZZ_TOKEN}" }

# A token or a project that is refused would leave nothing tested, and every answer as documented.
[warnings]
display = ["missing_auth"]
fail-on = ["missing_auth"]

[parameters]
"path.project_id" = "${OMS_TEST_FUZZ_PROJECT}"
"path.domain_id" = "${OMS_TEST_FUZZ_PROJECT}"
TOML
if [ -n "${OMS_TEST_FUZZ_TASK:-}" ]; then
  printf '"path.task_id" = "${OMS_TEST_FUZZ_TASK}"\n' >>"$config"
fi

# Checks: all but two. A broken project is never sent, as the path above is fixed, but would be expected to be refused; that
# broken bodies are (unknown fields too), tests in Rust show. And whether a valid request is accepted depends on more than
# its form: on the state of the task, on the regions that are known, on fields that exclude each other.
# Bounds: one worker, a fixed seed and a number of examples make the same requests each time.
cd "$folder"
export OMS_TEST_FUZZ_TOKEN=$token OMS_TEST_FUZZ_PROJECT=$project
"$OMS_TEST_TOOLS/python/bin/schemathesis" --config-file "$config" run "$base/openapi/v1.json" \
  --url "$base" \
  --checks all --exclude-checks negative_data_rejection,positive_data_acceptance \
  --phases examples,coverage,fuzzing,stateful \
  --max-examples 25 --seed 1 --workers 1 --request-timeout 10 \
  --generation-database none --no-color "$@"
