# Sourced by the scripts beside it. Each of them is run as `NAME.sh DOCUMENT FOLDER`: generates a client from an OpenAPI
# document into FOLDER, compiles it, and brings a task to its end with it. BASE_URL, TOKEN, PROJECT_ID and
# {SOURCE,TARGET}_{ENDPOINT,BUCKET,AK,SK} name the service and the stores. The last line says that all went well.
set -euo pipefail
: "${OMS_TEST_TOOLS:?must name the folder that tests/run --tools-only filled}"
[ $# = 2 ] || { echo "${0##*/} DOCUMENT FOLDER" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
document=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
npm=$OMS_TEST_TOOLS/npm/node_modules/.bin
generator_jar=$(echo "$OMS_TEST_TOOLS"/python/lib/python3*/site-packages/openapi_generator_cli/openapi-generator.jar)
# What is compiled once and is good for every run goes here.
cache=$OMS_TEST_TOOLS/cache
mkdir -p "$cache"

# Runs openapi-generator with default options: `openapi_generator GENERATOR FOLDER [options]`. An error in its log fails: it
# writes a client nevertheless.
openapi_generator() {
  local generator=$1 to=$2
  shift 2
  # A short-lived program on a busy machine: no optimising compiler, one thread for garbage.
  java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -jar "$generator_jar" generate -g "$generator" -i "$document" -o "$to" "$@" \
    >"$to.log" 2>&1 || { cat "$to.log" >&2; exit 1; }
  if grep -E ' ERROR ' "$to.log" >&2; then
    echo "$generator reports errors (above) about $document" >&2
    exit 1
  fi
}

# Fails where a known fault is in what was generated: `without PATTERN FOLDER`.
without() {
  if grep -rnE -- "$1" "$2" | head -n 5 | grep . >&2; then
    echo "generated code has a known fault (above): $1" >&2
    exit 1
  fi
}
