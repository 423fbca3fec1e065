# shellcheck shell=bash
# Brokers as containers of docker-compose.yml, on the host's network, in a project of the checkout's own.

docker_compose() {
  local compose=(docker compose)
  docker compose version >/dev/null 2>&1 || compose=(docker-compose)
  local tls=()
  if tls_ready; then
    rabbitmq_tls_settings /etc/hopbench-tls >"$STATE/rabbitmq/tls.conf"
    tls=("HOPBENCH_TLS_DIR=$TLS" "HOPBENCH_RABBITMQ_TLS_CONF=$STATE/rabbitmq/tls.conf" "HOPBENCH_KAFKA_TLS_LISTENER=,TLS://$(kafka_tls_address)")
  fi
  HOPBENCH_RABBITMQ_PORT=$RABBITMQ_PORT HOPBENCH_RABBITMQ_DIST_PORT=$RABBITMQ_DIST_PORT \
    HOPBENCH_RABBITMQ_EPMD_PORT=$RABBITMQ_EPMD_PORT HOPBENCH_RABBITMQ_PASSWORD=$(rabbitmq_password) \
    HOPBENCH_KAFKA_PORT=$KAFKA_PORT HOPBENCH_KAFKA_CONTROLLER_PORT=$KAFKA_CONTROLLER_PORT HOPBENCH_KAFKA_HEAP=$KAFKA_HEAP \
    env "${tls[@]}" "${compose[@]}" -p "$CHECKOUT" -f "$ROOT/docker-compose.yml" "$@" 9>&-
}

docker_usable() {
  [[ ${HOPBENCH_NATIVE:-} != 1 ]] && timeout 5 docker info >/dev/null 2>&1 &&
    { docker compose version || docker-compose version; } >/dev/null 2>&1
}

docker_container() {
  timeout 10 docker ps -aq --filter "label=com.docker.compose.project=$CHECKOUT" --filter "label=com.docker.compose.service=$1" 2>/dev/null
}

# docker_ask BROKER TEMPLATE
docker_ask() {
  local id
  id=$(docker_container "$1") && [[ -n $id ]] && timeout 10 docker inspect -f "$2" "$id" 2>/dev/null
}

docker_running() { [[ $(docker_ask "$1" '{{.State.Running}}') == true ]]; }
docker_paused() { [[ $(docker_ask "$1" '{{.State.Paused}}') == true ]]; }

# Host pids, where this machine's /proc shows them under the name that the engine gives (in a VM it does not).
docker_processes() {
  local pid name
  timeout 10 docker top "$(docker_container "$1")" -eo pid,comm | tail -n +2 | while read -r pid name; do
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$name" ]] && echo "$pid"
  done
  return 0
}

# Where the engine keeps the container's cgroup (version 2), if this machine shows it: by systemd, or by itself.
docker_cgroup() {
  local id directory
  id=$(timeout 10 docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$CHECKOUT" --filter "label=com.docker.compose.service=$1" 2>/dev/null)
  for directory in "/sys/fs/cgroup/system.slice/docker-$id.scope" "/sys/fs/cgroup/docker/$id"; do
    if [[ -n $id && -r $directory/cpu.stat ]]; then echo "$directory"; return; fi
  done
}

docker_rabbitmq_ready() { rabbitmq_ready; }
docker_kafka_ready() {
  timeout 10 docker logs --since "$(docker_ask kafka '{{.State.StartedAt}}')" "$(docker_container kafka)" 2>&1 |
    grep -q 'Kafka Server started' && kafka_answers 127.0.0.1 "$KAFKA_PORT"
}

docker_start() {
  if docker_compose up -d --no-deps "$1" >"$LOGS/$1.log" 2>&1; then
    await "$1" 180 "docker_$1_ready" && return
    timeout 10 docker logs --tail 200 "$(docker_container "$1")" >"$LOGS/$1.log" 2>&1 || true
  else
    unavailable "$1" "docker compose could not start $1 (see $LOGS/$1.log): mend that, or set HOPBENCH_NATIVE=1 to use native packages"
  fi
  tail -n 15 "$LOGS/$1.log" >&2
  return 1
}

docker_signal() {
  case $1 in
    KILL) docker_compose kill -s KILL "$2" ;;
    STOP) docker_compose pause "$2" ;;
    CONT) docker_compose unpause "$2" ;;
  esac >>"$LOGS/$2.log" 2>&1
}

docker_down() { docker_compose rm -fsv "$1" >/dev/null 2>&1; }
