#!/usr/bin/env bash
# openapi-generator, java with the library native, compiled and run. The generator's own jar holds Jackson; of
# jackson-databind-nullable and jakarta.annotation, which no package here has, stand-ins are in java/. The default library
# needs more than that, so its code is only generated and searched for what once made it fail.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
openapi_generator java "$folder/default"
without 'ERRORUNKNOWN|ERROR_UNKNOWN|put\(""' "$folder/default/src/main"
without 'List<[A-Za-z]+>\.class' "$folder/default/src/main/java/org/openapitools/client/model"
openapi_generator java "$folder/client" --library native
find "$folder/client/src/main" "$here/java" -name '*.java' >"$folder/sources"
javac -nowarn -proc:none -d "$folder/classes" -cp "$generator_jar" @"$folder/sources"
exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$folder/classes:$generator_jar" Use
