#!/usr/bin/env bash
# openapi-generator, python.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
openapi_generator python "$folder/client"
PYTHONPATH=$folder/client exec "$OMS_TEST_TOOLS/python/bin/python" "$here/python/use.py"
