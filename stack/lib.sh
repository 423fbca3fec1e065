# shellcheck shell=bash
# What every broker's script shares: where state lives, which ports and processes are ours, and whether a broker
# answers. Knows no broker's settings. A process is ours only while its pid file's pid *and* start time match.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
STATE=$ROOT/.hopbench
LOGS=$STATE/log
# Distinguishes the checkouts of one machine in node and project names.
CHECKOUT=hopbench-$(printf '%s' "$ROOT" | cksum | cut -d' ' -f1)
BROKERS=(rabbitmq kafka)
HOW_TO_GET="run 'make install', which installs it with apt as root or through sudo, or start a Docker engine"

say() { printf 'stack: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# --- processes ---

# Fields of /proc/PID/stat from the third on (state, parent, group, session, …); the name before them may hold spaces.
stat_of() {
  local line
  { IFS= read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra STAT <<<"${line##*) }"
}

start_time() { stat_of "$1" && echo "${STAT[19]}"; }

# alive PID START: the very process that was recorded, and no zombie.
alive() { stat_of "$1" && [[ ${STAT[19]} == "$2" && ${STAT[0]} != [ZX] ]]; }

record() { printf '%s %s\n' "$2" "$(start_time "$2")" >"$1"; }

# leader FILE: prints the recorded pid if that process still lives.
leader() {
  local pid start
  { read -r pid start <"$1"; } 2>/dev/null && alive "$pid" "$start" && echo "$pid"
}

# members PID: PID and its descendants, parents first (Erlang's helpers have sessions of their own).
members() {
  local dir pid found=" $1 " grown=1
  while ((grown)); do
    grown=0
    for dir in /proc/[0-9]*; do
      pid=${dir#/proc/}
      [[ $found == *" $pid "* ]] && continue
      stat_of "$pid" && [[ $found == *" ${STAT[1]} "* && ${STAT[0]} != [ZX] ]] && found+="$pid " grown=1
    done
  done
  # shellcheck disable=SC2086 # one line per process
  printf '%s\n' $found
}

PIN=()
[[ -z ${HOPBENCH_BROKER_CPUS:-} ]] || PIN=(taskset -c "$HOPBENCH_BROKER_CPUS")

# launch PIDFILE LOG COMMAND…: in a session of its own, with none of our terminal, pipes and locks.
launch() {
  local file=$1 log=$2
  shift 2
  setsid "${PIN[@]}" "$@" </dev/null >>"$log" 2>&1 9>&- &
  record "$file" $!
}

# slay PIDFILE: at once and all of it. A paused process ends too.
slay() {
  local pid
  if pid=$(leader "$1"); then
    # shellcheck disable=SC2046 # one word per process is meant
    kill -KILL $(members "$pid") 2>/dev/null || true
    while leader "$1" >/dev/null; do sleep 0.05; done
  fi
  rm -f "$1"
}

# --- ports ---

listening() { # listening PORT: somebody on this machine does
  local hex
  printf -v hex ':%04X [0-9A-F]+:0000 0A ' "$1"
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qE "$hex"
}

# Seven free neighbours below the ephemeral range, looked for from a place that the checkout's path decides, so that
# two checkouts that come up in the same second look in different places.
choose_ports() {
  local block try port offset free
  block=$(($(printf '%s' "$ROOT" | cksum | cut -d' ' -f1) % 1700))
  for ((try = 0; try < 1700; try++)); do
    port=$((20000 + (block + try) % 1700 * 7)) free=1
    for offset in 0 1 2 3 4 5 6; do listening $((port + offset)) && free=0; done
    ((free)) && break
  done
  ((free)) || die "no seven neighbouring free ports between 20000 and 32000"
  cat >"$STATE/ports" <<END
RABBITMQ_PORT=$port
RABBITMQ_DIST_PORT=$((port + 1))
RABBITMQ_EPMD_PORT=$((port + 2))
KAFKA_PORT=$((port + 3))
KAFKA_CONTROLLER_PORT=$((port + 4))
RABBITMQ_TLS_PORT=$((port + 5))
KAFKA_TLS_PORT=$((port + 6))
END
}

ports_taken() {
  local port
  for port in "$RABBITMQ_PORT" "$RABBITMQ_DIST_PORT" "$RABBITMQ_EPMD_PORT" "$KAFKA_PORT" "$KAFKA_CONTROLLER_PORT" \
    "$RABBITMQ_TLS_PORT" "$KAFKA_TLS_PORT"; do
    listening "$port" && return
  done
  return 1
}

# shellcheck source=/dev/null
load_ports() { [[ -s $STATE/ports ]] && . "$STATE/ports"; }

# --- does it answer? ---

# shellcheck disable=SC2016 # expanded by the inner shell
tcp_open() { timeout 3 bash -c ': <"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null; }

# shellcheck disable=SC2016
# amqp_version HOST PORT: shakes hands as an AMQP 0-9-1 client would and prints the version the broker names.
amqp_version() {
  LC_ALL=C timeout 3 bash -c '
    exec 3<>"/dev/tcp/$0/$1" && printf "AMQP\0\0\11\1" >&3
    head=$(head -c 7 <&3 | od -An -tx1 | tr -d " \n")
    [[ $head == 010000* ]] || exit 1
    head -c $((16#${head:6:8})) <&3 | tr -c "[:print:]" " " | sed -n "s/.*versionS *\([0-9][0-9A-Za-z.+-]*\).*/\1/p"
  ' "$1" "$2" 2>/dev/null
}

# shellcheck disable=SC2016
# kafka_answers HOST PORT: an ApiVersions request gets its response.
kafka_answers() {
  [[ $(timeout 3 bash -c '
    exec 3<>"/dev/tcp/$0/$1" && printf "\0\0\0\12\0\22\0\0\0\0\0\1\377\377" >&3
    head -c 8 <&3 | od -An -tx1 -j4 | tr -d " \n"' "$1" "$2" 2>/dev/null) == 00000001 ]]
}

# await BROKER SECONDS READY: until READY holds, or the broker has died, or the time is over.
await() {
  local deadline=$((SECONDS + $2))
  until "$3"; do
    running "$1" || { unavailable "$1" "$1 ended while it started; its log is $LOGS/$1.log"; return 1; }
    ((SECONDS < deadline)) || { unavailable "$1" "$1 was not ready after $2 s; its log is $LOGS/$1.log"; return 1; }
    sleep 0.2
  done
}

# unavailable BROKER SENTENCE: remembered for env, so that whoever skips the broker can say why.
unavailable() {
  mkdir -p "$STATE/$1"
  printf '%s\n' "${2//\'/\`}" >"$STATE/$1/reason"
  say "$2"
}
