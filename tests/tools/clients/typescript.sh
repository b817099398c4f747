# Sourced after common.sh: `check FOLDER [options of tsc]` type-checks what was generated into FOLDER, strictly.
check() {
  local of=$1
  shift
  # `types: []` keeps the machine's own @types out.
  cat >"$of/tsconfig.json" <<'JSON'
{
  "compilerOptions": {
    "strict": true,
    "skipLibCheck": true,
    "target": "es2022",
    "module": "commonjs",
    "moduleResolution": "node10",
    "esModuleInterop": true,
    "lib": ["es2022", "dom", "dom.iterable"],
    "types": []
  },
  "include": ["**/*.ts"]
}
JSON
  "$npm/tsc" --project "$of" "$@"
}
