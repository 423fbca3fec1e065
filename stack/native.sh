# shellcheck shell=bash
# Brokers as processes of this machine, from distribution packages and Maven's jars. The seven functions here are what
# a way of running brokers must offer; docker.sh has the same seven.

native_running() { leader "$STATE/$1/pid" >/dev/null; }

# The broker's own processes, the main one first; never epmd.
native_processes() {
  local pid
  pid=$(leader "$STATE/$1/pid") && members "$pid"
}

# Its processes can be seen; no cgroup is needed to tell their CPU.
native_cgroup() { :; }

native_paused() {
  local pid
  pid=$(leader "$STATE/$1/pid") && stat_of "$pid" && [[ ${STAT[0]} == T ]]
}

native_start() {
  local reason
  if reason=$("$1_missing"); then unavailable "$1" "$reason"; return 1; fi
  # What the broker's threads see at start; the client may narrow it later.
  "${PIN[@]}" nproc >"$STATE/$1/cpus"
  "$1_start" && return
  [[ -s $LOGS/$1.log ]] && tail -n 15 "$LOGS/$1.log" >&2
  slay "$STATE/$1/pid"
  return 1
}

native_signal() {
  if [[ $1 == KILL ]]; then slay "$STATE/$2/pid"; return; fi
  # shellcheck disable=SC2046 # one word per process is meant
  kill "-$1" $(native_processes "$2")
}

# A stack's data is only ever a benchmark's: it goes with the stack, so an orderly stop has nothing to save.
native_down() {
  slay "$STATE/$1/pid"
  "$1_down"
  rm -rf "$STATE/$1/data"
}
