#!/usr/bin/env bash
# Builds data-migrate, makes a sample tree, migrates it as three tasks, and says where everything is.
# Needs a Rust toolchain and nothing else; no root. Variables:
#   QUICKSTART_DIR      an empty or new directory instead of a fresh one below TMPDIR (else /tmp)
#   QUICKSTART_PROFILE  release (default) or dev
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "quickstart: $*" >&2
  exit 2
}

command -v cargo >/dev/null || fail "no Rust toolchain: cargo is not in PATH. See https://rustup.rs"

# A first release build takes no longer than one of the dev profile, and `make build-local` finds it done.
profile=${QUICKSTART_PROFILE:-release}
cargo build --locked --profile "$profile" -p app -p testkit --bin data-migrate --bin sample-tree
built=${CARGO_TARGET_DIR:-$PWD/target}/${profile/#dev/debug}
built=$(cd "$built" && pwd)

if [[ -n ${QUICKSTART_DIR:-} ]]; then
  mkdir -p "$QUICKSTART_DIR"
  directory=$(cd "$QUICKSTART_DIR" && pwd)
  [[ -z $(ls -A "$directory") ]] || fail "$directory is not empty"
else
  directory=$(mktemp -d "${TMPDIR:-/tmp}/data-migrate-quickstart.XXXXXX")
fi
[[ $directory != *[[:space:]\"\'\\]* ]] ||
  fail "$directory: choose a QUICKSTART_DIR without white space, quotes and backslashes"

started=$SECONDS
echo "The sample, in $directory/source:"
"$built/sample-tree" "$directory"
mkdir "$directory/target"

cat >"$directory/tasks.txt" <<TASKS
# SOURCE TARGET [FILE_LIST]
$directory/source/documents $directory/target/documents
$directory/source/photos $directory/target/photos
$directory/source/archive $directory/target/archive $directory/archive.list
TASKS

fs_type=$("$built/data-migrate" fstype "$directory" | sed -n 's/^type: *//p')

cat >"$directory/sample.yaml" <<CONFIG
report_config:
  format: html
global_config:
  # A task runs only where its source and target are on these file systems, so that nothing is written where a mount
  # is missing. What a path is on: data-migrate fstype PATH
  source_fs_types: ["$fs_type"]
  target_fs_types: ["$fs_type"]
  tasks_file: tasks.txt
CONFIG

echo
echo "Running: data-migrate run --config.file sample.yaml"
cd "$directory"
status=0
"$built/data-migrate" run --config.file sample.yaml || status=$?

# The report is in /tmp too, where people look for it.
remove="rm -rf $directory"
for report in "$directory"/data-migrate.d/sample/reports/*; do
  remove+=" /tmp/${report##*/}"
done
# The sample has directories that a plain user may not write into.
[[ $(id -u) == 0 ]] || remove="chmod -R u+rwX $directory && $remove"

cat <<END

Took $((SECONDS - started)) s after the build. In $directory:
  sample.yaml, tasks.txt                what was asked for
  target/                               the copies
  data_migrate_results.csv              the results, a row for each task
  data-migrate.d/sample/reports/        the report, a page for the browser
  data-migrate.d/sample/logs/           the logs
Again, to see everything unchanged:
  cd $directory && $built/data-migrate run --config.file sample.yaml --new-run
Away with it:
  $remove
END
exit "$status"
