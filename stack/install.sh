#!/usr/bin/env bash
# shellcheck source-path=SCRIPTDIR
# Installs what is missing and nothing else: build tools and, unless they come from elsewhere, what native brokers
# need. Fails only over what the build itself cannot do without; a broker that cannot be had is skipped with its reason.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
. "$here/lib.sh"
. "$here/rabbitmq.sh"
. "$here/kafka.sh"
. "$here/docker.sh"

# --- the Rust toolchain: named, never installed behind anybody's back ---

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
how="get it from https://rustup.rs (rustup update stable), or from a distribution that has it"
have=$(cargo --version 2>/dev/null | cut -d' ' -f2) || true
[[ -n $have ]] || die "cargo is not here: Rust $wanted or newer is needed; $how"
[[ $(printf '%s\n' "$wanted" "${have%%-*}" | sort -V | head -n 1) == "$wanted" ]] ||
  die "Rust $have is too old: $wanted or newer is needed; $how"

# --- what is missing ---

has() { command -v "$1" >/dev/null; }
build=() broker=()
has cc || build+=(gcc libc6-dev)
has c++ || build+=(g++)
for tool in make pkg-config; do has "$tool" || build+=("$tool"); done
has cc && echo '#include <zlib.h>' | cc -E - >/dev/null 2>&1 || build+=(zlib1g-dev)
if [[ ${HOPBENCH_SKIP_BROKERS:-} != 1 ]] && ! docker_usable; then
  if [[ -z ${HOPBENCH_AMQP_URL:-} ]] && ! rabbitmq_server >/dev/null; then broker+=(rabbitmq-server); fi
  if [[ -z ${HOPBENCH_KAFKA_BROKERS:-} ]]; then
    kafka_java >/dev/null || broker+=(java)
    [[ -d $KAFKA_LIBS ]] || has mvn || broker+=(maven)
  fi
fi

# --- apt ---

as_root=()
apt_usable() {
  has apt-get || return 1
  [[ $(id -u) == 0 ]] && return
  has sudo && sudo -n true 2>/dev/null && as_root=(sudo -n)
}

# Installing rabbitmq-server must not leave a broker of the machine's own behind, running now or at the next boot.
POLICY=/usr/sbin/policy-rc.d
hold_services() {
  [[ ! -e $POLICY ]] || return 0
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$POLICY" >/dev/null
  "${as_root[@]}" chmod 755 "$POLICY"
  trap '"${as_root[@]}" rm -f "$POLICY"' EXIT
}

install_packages() {
  local i fresh=0
  say "installing with apt: $*"
  "${as_root[@]}" apt-get update -q >"$LOGS/apt.log" 2>&1 || true # old lists may do
  set -- "$@"
  for ((i = 1; i <= $#; i++)); do
    [[ ${!i} != rabbitmq-server ]] || fresh=1
    if [[ ${!i} == java ]]; then # Kafka 4 wants 17; the default one may be older
      local jre=default-jre-headless
      apt-cache show openjdk-17-jre-headless >/dev/null 2>&1 && jre=openjdk-17-jre-headless
      set -- "${@:1:i-1}" "$jre" "${@:i+1}"
    fi
  done
  ((fresh)) && hold_services
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >>"$LOGS/apt.log" 2>&1 || return 1
  if ((fresh)) && has systemctl; then
    "${as_root[@]}" systemctl disable --now rabbitmq-server >/dev/null 2>&1 &&
      say "the rabbitmq-server service of the machine stays off: the stack runs its own broker"
  fi
  return 0
}

mkdir -p "$LOGS"
if ((${#build[@]} + ${#broker[@]})); then
  if ! apt_usable; then
    ((${#build[@]} == 0)) || die "the build needs ${build[*]}, and there is no apt to install them with as root or through sudo: install them by hand"
    say "not here and not to be installed without apt as root or through sudo: ${broker[*]}. Going on without; 'stack/stack status' gives the reasons"
  else
    ((${#build[@]} == 0)) || install_packages "${build[@]}" || die "apt could not install ${build[*]}: see $LOGS/apt.log"
    ((${#broker[@]} == 0)) || install_packages "${broker[@]}" || say "apt could not install ${broker[*]} (see $LOGS/apt.log): going on without"
  fi
fi
