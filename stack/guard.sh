# shellcheck shell=bash
# Runs a command so that nothing of it stays behind, however it or this shell ends: its process group and the brokers
# brought up for it are noted in a file, and a watcher in a session of its own tidies up if this shell is gone.

# watch PID FILE: starts the watcher; it does what FILE says once PID no longer lives, and ends when FILE is gone.
watch() {
  setsid "$here/stack" _watch "$1" "$(start_time "$1")" "$2" </dev/null >/dev/null 2>&1 9>&- &
  WATCHER=$!
}

watcher() { # watcher PID START FILE
  while [[ -e $3 ]]; do
    alive "$1" "$2" || { tidy_up "$3"; break; }
    sleep 0.5
  done
}

# tidy_up FILE: lines are `group PGID` and `broker NAME`.
tidy_up() {
  local kind name brokers=() try
  [[ -e $1 ]] || return 0
  while read -r kind name; do
    if [[ $kind == broker ]]; then
      brokers+=("$name")
    elif kill -TERM -- "-$name" 2>/dev/null; then
      for ((try = 0; try < 100; try++)); do
        kill -0 -- "-$name" 2>/dev/null || break
        sleep 0.1
      done
      kill -KILL -- "-$name" 2>/dev/null || true
    fi
  done < <(sort -r "$1") # groups first: nobody loses a broker that still works with it
  rm -f "$1"
  if ((${#brokers[@]})); then
    lock
    down "${brokers[@]}"
    publish
    unlock
  fi
}

# guarded NOTE COMMAND…: the command in a group of its own, our signals handed on, its status handed back.
guarded() {
  local note=$1 child status
  shift
  set -m # gives the command its own process group, and Ctrl-C its usual meaning there
  "$@" </dev/null 9>&- &
  child=$!
  set +m
  echo "group $child" >>"$note"
  # shellcheck disable=SC2064 # this child is meant
  trap "kill -INT -- -$child" INT
  # shellcheck disable=SC2064
  trap "kill -TERM -- -$child" TERM HUP
  while :; do
    wait "$child" && status=0 || status=$?
    kill -0 "$child" 2>/dev/null || break
  done
  return "$status"
}

# Whatever tidying meets, the command's status is what counts.
finish() {
  local status=$?
  trap '' INT TERM HUP
  set +e
  tidy_up "$1"
  kill "$WATCHER" 2>/dev/null
  exit "$status"
}

# run WITH_BROKERS COMMAND…
run() {
  local status with=$1
  note=$STATE/guard.$$
  shift
  mkdir -p "$STATE"
  : >"$note"
  watch $$ "$note"
  trap 'finish "$note"' EXIT
  if [[ $with == yes && ${HOPBENCH_SKIP_BROKERS:-} != 1 ]]; then
    lock
    NOTE=$note
    up || say "going on without what is missing"
    publish
    unlock
    set -a
    # shellcheck source=/dev/null
    . "$STATE/env"
    set +a
  fi
  guarded "$note" "$@" && status=0 || status=$?
  exit "$status"
}
