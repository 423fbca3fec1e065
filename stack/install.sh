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
# librdkafka's TLS; building OpenSSL itself would take minutes.
has pkg-config && pkg-config --exists openssl || build+=(libssl-dev)
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

apt_install() {
  say "installing with apt: $*"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >>"$LOGS/apt.log" 2>&1
}

((${#build[@]} + ${#broker[@]})) || exit 0
mkdir -p "$LOGS"
if ! apt_usable; then
  ((${#build[@]} == 0)) || die "the build needs ${build[*]}, and there is no apt to install them with as root or through sudo: install them by hand"
  say "not here, and no apt as root or through sudo to install them: ${broker[*]}. Going on without; 'stack/stack status' gives the reasons"
  exit 0
fi
"${as_root[@]}" apt-get update -q >"$LOGS/apt.log" 2>&1 || true # old lists may do
((${#build[@]} == 0)) || apt_install "${build[@]}" || die "apt could not install ${build[*]}: see $LOGS/apt.log"
((${#broker[@]})) || exit 0

# Kafka 4 wants Java 17; the default one may be older, or newer than 17 is still packaged.
jre=default-jre-headless
if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then jre=openjdk-17-jre-headless; fi
broker=("${broker[@]/#java/$jre}")
fresh=0
[[ " ${broker[*]} " != *" rabbitmq-server "* ]] || fresh=1
((fresh == 0)) || hold_services
if ! apt_install "${broker[@]}"; then
  say "apt could not install ${broker[*]} (see $LOGS/apt.log): going on without"
elif ((fresh)) && has systemctl && "${as_root[@]}" systemctl disable --now rabbitmq-server >/dev/null 2>&1; then
  say "the machine's own rabbitmq-server service stays off: the stack runs its own broker"
fi
