# shellcheck shell=bash
# Brokers that the user names in the environment: asked whether they answer, never started, signalled or told on
# (their password is printed nowhere).

external_var() { [[ $1 == rabbitmq ]] && echo HOPBENCH_AMQP_URL || echo HOPBENCH_KAFKA_BROKERS; }

# Named in the environment, and not merely our own address handed back to us.
is_external() {
  local var value
  var=$(external_var "$1")
  value=${!var:-}
  [[ -n $value ]] || return 1
  load_ports || return 0
  if [[ $1 == rabbitmq ]]; then [[ $value != "$(rabbitmq_url)" ]]; else [[ $value != "$(kafka_address)" ]]; fi
}

# HOST PORT of each address, one a line.
external_addresses() {
  local value part default=9092 var
  var=$(external_var "$1")
  value=${!var:-}
  if [[ $1 == rabbitmq ]]; then
    default=5672
    [[ $value == amqps://* ]] && default=5671
    value=${value#*://} value=${value%%[/?]*} value=${value##*@}
  fi
  for part in ${value//,/ }; do
    if [[ $part =~ ^(.+):([0-9]+)$ ]]; then
      echo "${BASH_REMATCH[1]//[\[\]]/} ${BASH_REMATCH[2]}"
    else
      echo "$part $default"
    fi
  done
}

external_list() { external_addresses "$1" | tr ' ' ':' | paste -sd,; }

external_reachable() {
  local host port
  while read -r host port; do tcp_open "$host" "$port" && return; done < <(external_addresses "$1")
  return 1
}

external_reason() {
  echo "$(external_var "$1") names a $1 at $(external_list "$1")," \
    "which does not answer: start it, or unset the variable to use the stack's own"
}

# The URL stays where the user put it; a file is no place for somebody's password.
external_facts() {
  local host port
  read -r host port < <(external_addresses "$1")
  if [[ $1 == rabbitmq ]]; then
    fact HOPBENCH_RABBITMQ_ADDRESS "$host:$port"
    fact HOPBENCH_RABBITMQ_VERSION "$(amqp_version "$host" "$port")"
  else
    fact HOPBENCH_KAFKA_BROKERS "$HOPBENCH_KAFKA_BROKERS"
  fi
}
