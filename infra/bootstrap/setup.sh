#!/usr/bin/env bash
# The one set-up script: brings a Debian machine (or container, or VM) from a bare clone to one that can run everything
# in this repository. It looks before it acts, says what it changes in one line each, and does nothing, quietly and in
# well under a second, when all is right. Progress goes to stderr; stdout carries only `started`, so that a caller knows
# whether the container engine that it now uses is its own to stop.
set -euo pipefail
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
state="${XDG_STATE_HOME:-${HOME:+$HOME/.local/state}}"
state="${state:-/var/lib}/berth"
engine_pidfile="$state/dockerd.pid"
engine_log="$state/dockerd.log"
install_log="$state/install.log"
image=berth/busybox:local

node_major_min=24
etcd_version_min=3.4
haproxy_version_min=2.5
lock_wait_s=900
apt_lock_wait_s=300
apt_update_attempts_max=3
engine_start_deadline_s=60
engine_stop_deadline_s=60

usage() {
  cat <<'TEXT'
usage: setup.sh [modules | etcd | haproxy | install | engine | chaos | stop-engine | --help]

  (nothing)     everything: modules, etcd, haproxy, the container engine running, the test image
  modules       node_modules as package-lock.json says, with its own Node.js
  etcd          etcd from Debian's packages, unless a recent one is there
  haproxy       haproxy from Debian's packages, unless a recent one is there
  install       modules, etcd, haproxy and the container engine's packages; starts nothing
  engine        the container engine installed, running and holding the test image;
                prints `started` when this call started it
  chaos         everything, and what sets the clock of a single process
  stop-engine   stops the engine if, and only if, this script started it

DOCKER_HOST is respected: an engine that answers there is used, and none is installed or started.
TEXT
}

say() { printf 'berth: %s\n' "$*" >&2; }

die() {
  say "$1"
  shift
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit 1
}

# Runs a command as root. Its output goes wherever the caller sent it.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root, and there is no sudo: $*" "Run this script as root, or install sudo."
  fi
}

# Only one set-up changes the machine at a time; a second one waits and then mostly finds everything done.
take_lock() {
  mkdir -p "$state"
  command -v flock >/dev/null || die "flock is missing" "Install it: apt-get install util-linux"
  exec 9>"$state/setup.lock"
  flock -w "$lock_wait_s" 9 || die "another set-up has held $state/setup.lock for ${lock_wait_s} s" \
    "See who it is with: fuser -v $state/setup.lock"
}

version_at_least() { # have, min
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

has_systemd() { [ -d /run/systemd/system ]; }

# --- modules -----------------------------------------------------------------------------------------------------

node_is_recent() { # path of a node
  local version
  version=$("$1" --version 2>/dev/null) || return 1
  version_at_least "${version#v}" "$node_major_min"
}

lockfile_hash() { sha256sum "$root/package-lock.json" | cut -d' ' -f1; }

modules_are_current() {
  [ -f "$root/node_modules/.berth-lock" ] && [ "$(cat "$root/node_modules/.berth-lock")" = "$(lockfile_hash)" ]
}

install_modules() {
  command -v npm >/dev/null || die "npm is missing" "Install Node.js $node_major_min or later with npm, then run this again."
  say "installing node_modules from package-lock.json ..."
  # Development packages are wanted whatever NODE_ENV says; the engine warning concerns a Node.js that is about to be
  # replaced by the one that comes with the modules.
  (cd "$root" && npm ci --include=dev --include=optional --no-fund --no-audit --loglevel=error) >&2 ||
    die "npm ci failed (its own words are above)" \
      "If it says that package.json and package-lock.json differ, run npm install and commit the lockfile." \
      "If it can't reach the registry, check npm config get registry and the proxy settings."
  lockfile_hash >"$root/node_modules/.berth-lock"
}

# The `node` package fetches its binary in an install script. Where scripts are switched off it stays away without an
# error, and everything would silently run on whatever Node.js the machine has.
ensure_own_node() {
  local own="$root/node_modules/.bin/node"
  node_is_recent "$own" && return
  say "fetching the Node.js that package.json pins ..."
  (cd "$root" && npm rebuild node --ignore-scripts=false --loglevel=error) >&2 || true
  node_is_recent "$own" && return
  command -v node >/dev/null && node_is_recent node && return
  die "node_modules/.bin/node is missing or older than $node_major_min" \
    "Remove node_modules and run this again, or put Node.js $node_major_min or later on PATH."
}

ensure_modules() {
  modules_are_current || install_modules
  ensure_own_node
}

# --- Debian packages ---------------------------------------------------------------------------------------------

fail_with_log() { # what failed, remedy...
  local what="$1" log="$2"
  shift 2
  say "$what; the end of $log:"
  tail -n 15 "$log" | sed 's/^/       | /' >&2
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit 1
}

apt_update() {
  local attempt
  say "reading Debian's package lists ..."
  for attempt in $(seq "$apt_update_attempts_max"); do
    as_root apt-get update -q >>"$install_log" 2>&1 && return
    # apt does not wait for the lock on its lists, unlike for dpkg's.
    sleep "$attempt"
  done
  fail_with_log "apt-get update failed" "$install_log" "Check the network and /etc/apt/sources.list, then run this again."
}

apt_install_once() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout="$apt_lock_wait_s" -o Dpkg::Use-Pty=0 "$@" >>"$install_log" 2>&1
}

apt_install() {
  command -v apt-get >/dev/null || die "no apt-get here, so these can't be installed: $*" \
    "Install them by hand (etcd $etcd_version_min or later; haproxy $haproxy_version_min or later; a Docker Engine), then run this again."
  : >"$install_log"
  apt-cache show "$@" >/dev/null 2>&1 || apt_update
  forbid_service_starts
  # Lists that are merely old name versions that the mirror no longer has: read them again, once.
  apt_install_once "$@" || { apt_update && apt_install_once "$@"; } ||
    fail_with_log "could not install $*" "$install_log" "Try it by hand: apt-get install --no-install-recommends $*"
  allow_service_starts
}

# Debian's packages start their services as they are installed. Ours are started when wanted, by whoever wants them, so
# the usual gate is put up for the duration, unless the machine has one already.
policy=/usr/sbin/policy-rc.d
policy_is_ours=false

forbid_service_starts() {
  [ -e "$policy" ] && return
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
  policy_is_ours=true
  trap allow_service_starts EXIT
}

allow_service_starts() {
  [ "$policy_is_ours" = true ] || return 0
  policy_is_ours=false
  as_root rm -f "$policy"
}

# --- etcd --------------------------------------------------------------------------------------------------------

etcd_is_recent() {
  local version
  version=$(etcd --version 2>/dev/null | sed -n 's/^etcd Version: *//p') || return 1
  [ -n "$version" ] && version_at_least "$version" "$etcd_version_min"
}

ensure_etcd() {
  etcd_is_recent && return
  say "installing etcd-server and etcd-client from Debian's packages ..."
  apt_install etcd-server etcd-client
  # Berth starts etcd members of its own; one that comes up at boot on the same ports would be in their way.
  has_systemd && as_root systemctl disable --now etcd >>"$install_log" 2>&1
  etcd_is_recent || die "etcd --version still isn't $etcd_version_min or later" \
    "An older etcd may be first on PATH: $(command -v etcd || echo none)"
}

# --- haproxy -----------------------------------------------------------------------------------------------------

haproxy_is_recent() {
  local version
  version=$(haproxy -v 2>/dev/null | sed -n 's/^HA-\{0,1\}Proxy version \([0-9.]*\).*/\1/p') || return 1
  [ -n "$version" ] && version_at_least "$version" "$haproxy_version_min"
}

ensure_haproxy() {
  haproxy_is_recent && return
  say "installing haproxy from Debian's packages ..."
  apt_install haproxy
  # A balancer starts a haproxy of its own, with its own configuration.
  has_systemd && as_root systemctl disable --now haproxy >>"$install_log" 2>&1
  haproxy_is_recent || die "haproxy -v still isn't $haproxy_version_min or later" \
    "An older haproxy may be first on PATH: $(command -v haproxy || echo none)"
}

# --- clocks ------------------------------------------------------------------------------------------------------

# A chaos run sets the clocks of single processes with it. Without it, it leaves that out.
ensure_faketime() {
  compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null && return
  say "installing faketime from Debian's packages ..."
  apt_install faketime
}

# --- container engine --------------------------------------------------------------------------------------------

engine_answers() {
  command -v docker >/dev/null && timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

engine_is_elsewhere() {
  case "${DOCKER_HOST:-}" in
    '' | unix:///var/run/docker.sock | unix:///run/docker.sock) return 1 ;;
    *) return 0 ;;
  esac
}

engine_refuses_us() {
  command -v docker >/dev/null && timeout 10 docker version 2>&1 | grep -qi 'permission denied'
}

ensure_engine_installed() {
  engine_answers && return
  engine_is_elsewhere && return
  if ! command -v dockerd >/dev/null; then
    say "installing docker.io and iptables from Debian's packages ..."
    # Without apparmor's parser the engine can't start a container on a kernel that has AppArmor switched on.
    if grep -qs Y /sys/module/apparmor/parameters/enabled; then
      apt_install docker.io iptables apparmor
    else
      apt_install docker.io iptables
    fi
  fi
  if ! command -v docker >/dev/null; then
    say "installing docker-cli from Debian's packages ..."
    apt_install docker-cli
  fi
}

# Limits on memory and CPUs need the kernel's control groups. Distributions mount them at boot; bare containers and VMs
# may not have.
ensure_cgroups() {
  awk '$3 == "cgroup" || $3 == "cgroup2" { found = 1 } END { exit !found }' /proc/mounts && return
  say "mounting the control group file system ..."
  as_root mkdir -p /sys/fs/cgroup
  as_root mount -t cgroup2 none /sys/fs/cgroup || die "the control group file system can't be mounted" \
    "Containers need it. In a container, run it privileged; in a VM, build the kernel with CONFIG_CGROUPS."
}

start_engine_daemon() {
  ensure_cgroups
  say "starting dockerd (log: $engine_log) ..."
  : >"$engine_log"
  # The socket belongs to the group of whoever runs this, so that no further sudo is needed to use it.
  local daemon=(setsid dockerd --pidfile "$engine_pidfile" --group "$(id -g)")
  if [ "$(id -u)" != 0 ]; then
    as_root true
    daemon=(sudo "${daemon[@]}")
  fi
  "${daemon[@]}" </dev/null >>"$engine_log" 2>&1 9>&- &
  local child=$! waited_until=$((SECONDS + engine_start_deadline_s))
  until engine_answers; do
    [ -d "/proc/$child" ] || engine_start_failed "dockerd ended at once"
    [ "$SECONDS" -lt "$waited_until" ] || engine_start_failed "dockerd did not answer within ${engine_start_deadline_s} s"
    sleep 0.2
  done
  disown "$child"
}

engine_start_failed() {
  fail_with_log "$1" "$engine_log" \
    "A container engine needs root, control groups and iptables; in a container, run it privileged." \
    "Or point DOCKER_HOST at an engine that runs elsewhere."
}

# Prints `started` when the engine is from now on ours to stop.
ensure_engine_running() {
  engine_answers && return
  engine_is_elsewhere && die "no container engine answers at DOCKER_HOST=$DOCKER_HOST" \
    "Start it, or unset DOCKER_HOST to use an engine on this machine."
  engine_refuses_us && die "a container engine runs, but $(id -un) may not use it" \
    "Run this as root, or: usermod -aG docker $(id -un), then log in again."
  if has_systemd && systemctl cat docker.service >/dev/null 2>&1; then
    say "starting docker.service ..."
    as_root systemctl start docker.service >&2 || die "docker.service does not start" "See: journalctl -u docker.service -n 50"
    engine_answers || die "docker.service runs but does not answer" "See: journalctl -u docker.service -n 50"
    return
  fi
  start_engine_daemon
  echo started
}

engine_pid() {
  local pid
  pid=$(cat "$engine_pidfile" 2>/dev/null) || return 1
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || return 1
  echo "$pid"
}

stop_engine() {
  local pid waited_until=$((SECONDS + engine_stop_deadline_s))
  pid=$(engine_pid) || return 0
  say "stopping the dockerd that was started here (process $pid) ..."
  as_root kill "$pid" || true
  while [ -d "/proc/$pid" ]; do
    [ "$SECONDS" -lt "$waited_until" ] || die "dockerd (process $pid) did not stop within ${engine_stop_deadline_s} s" \
      "See $engine_log; kill -9 $pid ends it without tidying up."
    sleep 0.1
  done
}

# --- test image --------------------------------------------------------------------------------------------------

# The image that tests and the demo run: one static busybox under all its names. It is built here because no image
# registry can be counted on, and from an unpacked package because installing it would push out a host's own busybox.
build_image() {
  local dir="$1" busybox
  say "building the image $image from Debian's busybox-static ..."
  : >"$install_log"
  apt-cache show busybox-static >/dev/null 2>&1 || apt_update
  (cd "$dir" && { apt-get download -q busybox-static || { apt_update && apt-get download -q busybox-static; }; }) \
    >>"$install_log" 2>&1 || fail_with_log "could not fetch busybox-static" "$install_log" "Check the network, then run this again."
  dpkg-deb -x "$dir"/busybox-static_*.deb "$dir/package"
  busybox="$dir/package/bin/busybox"
  [ -x "$busybox" ] || busybox="$dir/package/usr/bin/busybox"
  mkdir -p "$dir"/rootfs/{bin,dev,etc,home,proc,root,run,sbin,sys,tmp,usr/bin,usr/sbin,var/tmp}
  chmod 1777 "$dir/rootfs/tmp" "$dir/rootfs/var/tmp"
  cp "$busybox" "$dir/rootfs/bin/busybox"
  "$busybox" --list-full | while read -r name; do
    mkdir -p "$dir/rootfs/$(dirname "$name")"
    [ "$name" = bin/busybox ] || ln -sf /bin/busybox "$dir/rootfs/$name"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$dir/rootfs/etc/passwd"
  echo 'root:x:0:' >"$dir/rootfs/etc/group"
  tar -C "$dir/rootfs" --owner=0 --group=0 --numeric-owner -c . |
    docker import --change 'CMD ["/bin/sh"]' --change 'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin' - "$image" >/dev/null
}

ensure_image() {
  docker image inspect "$image" >/dev/null 2>&1 && return
  local dir
  dir=$(mktemp -d)
  chmod 755 "$dir"
  # In a subshell, so that the folder goes whatever happens.
  (
    trap 'rm -rf "$dir"' EXIT
    build_image "$dir"
  )
}

ensure_engine() {
  ensure_engine_installed
  ensure_engine_running
  ensure_image
}

main() {
  case "${1:-all}" in
    --help | -h | help) usage; return ;;
    all | modules | etcd | haproxy | install | engine | chaos | stop-engine) ;;
    *) usage >&2; exit 2 ;;
  esac
  take_lock
  case "${1:-all}" in
    all) ensure_modules; ensure_etcd; ensure_haproxy; ensure_engine >/dev/null ;;
    chaos) ensure_modules; ensure_etcd; ensure_engine >/dev/null; ensure_faketime ;;
    modules) ensure_modules ;;
    etcd) ensure_etcd ;;
    haproxy) ensure_haproxy ;;
    install) ensure_modules; ensure_etcd; ensure_haproxy; ensure_engine_installed ;;
    engine) ensure_engine ;;
    stop-engine) stop_engine ;;
  esac
}

main "$@"
