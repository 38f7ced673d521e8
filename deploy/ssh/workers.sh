#!/bin/sh
# Workers on a list of hosts, by ssh:
#
#   workers.sh start  [-p PROGRAM] [-c FILE] [-n N] HOSTS SERVER:PORT
#   workers.sh status HOSTS
#   workers.sh stop   HOSTS
#
# HOSTS is a file: one host (or user@host, or a name of your ssh config) a line, # comments. Keys must be set up: nobody
# is asked for a password. PROGRAM is its path on the hosts (data-migrate-worker in PATH); -c copies FILE there first.
# -n: items that a worker holds at once (3). State and log of a worker: ~/.data-migrate on its host.
# Tasks of the rclone engine need rclone in the PATH that ssh gives, and for remotes ~/.config/rclone/rclone.conf, on each host.
# Hosts are called 32 at a time. Exit code: 0 all hosts did, 1 some did not, 2 a mistake in the call.
set -eu

at_once=32
ssh_options='-o BatchMode=yes -o ConnectTimeout=10'

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0" >&2
  exit 2
}

fail() {
  echo "workers: $*" >&2
  exit 2
}

# A word that the other side's shell takes as it is.
quoted() {
  printf "'%s' " "$(printf %s "$1" | sed "s/'/'\\\\''/g")"
}

# What runs on each host: start, status or stop, then the program, the server and the number of items.
on_host() {
  cat <<'END'
set -u
action=$1 worker=${2:-} server=${3:-} concurrency=${4:-}
umask 077
state=$HOME/.data-migrate
# Home directories may be shared between hosts.
pid_file=$state/worker-$(uname -n).pid
log=$state/worker-$(uname -n).log

# The id in the file, if that process is still a worker of ours.
running() {
  pid=$(cat "$pid_file" 2>/dev/null) && [ -n "$pid" ] &&
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q -- --server.address
}

case $action in
start)
  if running; then echo "runs already, process $pid"; exit 0; fi
  command -v "$worker" >/dev/null || { echo "no program $worker"; exit 1; }
  mkdir -p "$state" || exit 1
  nohup setsid "$worker" --server.address "$server" --concurrency "$concurrency" </dev/null >>"$log" 2>&1 &
  echo $! >"$pid_file"
  # A mistake in the call ends it at once.
  sleep 1
  if running; then echo "started, process $pid"; exit 0; fi
  wait $! && { rm -f "$pid_file"; echo "has ended: the run is over"; exit 0; }
  rm -f "$pid_file"
  echo "ended at once: $(tail -n 1 "$log")"
  exit 1
  ;;
status)
  if running; then
    echo "runs, process $pid: $(tail -n 1 "$log")"
    exit 0
  fi
  [ ! -e "$log" ] || { echo "does not run: $(tail -n 1 "$log")"; exit 1; }
  echo "does not run"
  exit 1
  ;;
stop)
  if ! running; then echo "does not run"; rm -f "$pid_file"; exit 0; fi
  kill -TERM "$pid" || exit 1
  # What it holds is handed back within 10 s.
  seconds=0
  while running && [ $seconds -lt 20 ]; do
    sleep 1
    seconds=$((seconds + 1))
  done
  if running; then echo "does not stop: process $pid"; exit 1; fi
  rm -f "$pid_file"
  echo stopped
  ;;
esac
END
}

# Copies the program if asked to, then runs the action on a host, the second argument's in the list.
call() {
  host=$1
  if [ -n "$copy" ]; then
    # Beside it first: a program that runs can't be written to. Hosts may share the directory.
    new=$(quoted "$program.new$2")
    # shellcheck disable=SC2029,SC2086 # Meant to be expanded here.
    ssh $ssh_options "$host" "cat >$new&& chmod 755 $new&& mv -f $new$(quoted "$program")" <"$copy" ||
      { echo "cannot copy the program"; return 1; }
  fi
  # shellcheck disable=SC2029,SC2086
  on_host | ssh $ssh_options "$host" "sh -s -- $(quoted "$action")$(quoted "$program")$(quoted "$server")$(quoted "$concurrency")"
}

program=data-migrate-worker copy='' concurrency=3 server=''
[ $# -ge 1 ] || usage
action=$1
shift
case $action in
start | status | stop) ;;
*) usage ;;
esac
while getopts p:c:n: option; do
  case $option in
  p) program=$OPTARG ;;
  c) copy=$OPTARG ;;
  n) concurrency=$OPTARG ;;
  *) usage ;;
  esac
done
shift $((OPTIND - 1))
case $action in
start)
  [ $# -eq 2 ] || usage
  server=$2
  case $server in *:*) ;; *) fail "expected SERVER:PORT, found '$server'" ;; esac
  case $concurrency in '' | *[!0-9]*) fail "-n: expected a number, found '$concurrency'" ;; esac
  if [ -n "$copy" ]; then
    [ -r "$copy" ] || fail "cannot read $copy"
    case $program in */*) ;; *) fail "-c needs -p PATH: where the program goes on the hosts" ;; esac
  fi
  ;;
*) [ $# -eq 1 ] || usage ;;
esac
hosts_file=$1
[ -r "$hosts_file" ] || fail "cannot read the list of hosts $hosts_file"
hosts=$(sed 's/#.*//;s/[[:space:]]//g;/^$/d' "$hosts_file" | awk '!seen[$0]++')
[ -n "$hosts" ] || fail "no host in $hosts_file"
for host in $hosts; do
  case $host in
  -* | *[!A-Za-z0-9._:@%-]*) fail "$hosts_file: '$host' is no name of a host" ;;
  esac
done

answers=$(mktemp -d)
trap 'rm -rf "$answers"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

number=0
for host in $hosts; do
  number=$((number + 1))
  {
    code=0
    call "$host" "$number" >"$answers/$number" 2>&1 </dev/null || code=$?
    echo "$code" >"$answers/$number.code"
  } &
  [ $((number % at_once)) -ne 0 ] || wait
done
wait

number=0 failed=0
for host in $hosts; do
  number=$((number + 1))
  while IFS= read -r line || [ -n "$line" ]; do
    printf '%s: %s\n' "$host" "$line"
  done <"$answers/$number"
  [ "$(cat "$answers/$number.code")" = 0 ] || failed=$((failed + 1))
done
echo "$action: $((number - failed)) of $number hosts"
[ "$failed" -eq 0 ]
