# shellcheck shell=bash
# A native RabbitMQ of the checkout's own: node name, cookie, epmd, ports and data folder apart from any other's,
# on loopback only, none of the machine's configuration read.

rabbitmq_server() {
  local path
  for path in /usr/lib/rabbitmq/bin/rabbitmq-server "$(readlink -f "$(command -v rabbitmq-server)" 2>/dev/null)"; do
    [[ -x $path && -r ${path%/*}/rabbitmq-env ]] && { echo "$path"; return; }
  done
  return 1
}

rabbitmq_missing() {
  rabbitmq_server >/dev/null && return 1
  echo "RabbitMQ is not here: $HOW_TO_GET, or set HOPBENCH_AMQP_URL to a broker that exists"
}

# Loopback keeps other machines out; the password keeps other users of this one out.
rabbitmq_password() {
  local file=$STATE/rabbitmq/password
  [[ -s $file ]] || (umask 077 && head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$file")
  cat "$file"
}

rabbitmq_address() { echo "127.0.0.1:$RABBITMQ_PORT"; }
rabbitmq_url() { echo "amqp://hopbench:$(rabbitmq_password)@$(rabbitmq_address)/%2f"; }
rabbitmq_tls_url() { echo "amqps://hopbench:$(rabbitmq_password)@127.0.0.1:$RABBITMQ_TLS_PORT/%2f"; }
rabbitmq_ready() { [[ -n $(amqp_version 127.0.0.1 "$RABBITMQ_PORT") ]]; }

# TLS 1.3 and the suite that the transports fix; no client certificates.
rabbitmq_tls_settings() {
  cat <<END
listeners.ssl.default = 127.0.0.1:$RABBITMQ_TLS_PORT
ssl_options.cacertfile = $1/ca.pem
ssl_options.certfile = $1/server.pem
ssl_options.keyfile = $1/server.key
ssl_options.verify = verify_none
ssl_options.fail_if_no_peer_cert = false
ssl_options.versions.1 = tlsv1.3
ssl_options.ciphers.1 = TLS_AES_256_GCM_SHA384
END
}

# No busy waiting (an idle broker must not burn what its neighbours are measured on) and no binding of scheduler
# threads to cores: placement belongs to whoever measures.
RABBITMQ_VM_ARGS="+sbwt none +sbwtdcpu none +sbwtdio none +stbt u"

rabbitmq_start() {
  local dir=$STATE/rabbitmq epmd
  mkdir -p "$dir/home" "$dir/data" "$LOGS"
  cat >"$dir/rabbitmq.conf" <<END
listeners.tcp.default = 127.0.0.1:$RABBITMQ_PORT
default_user = hopbench
default_pass = $(rabbitmq_password)
loopback_users = none
END
  if tls_ready; then rabbitmq_tls_settings "$TLS" >>"$dir/rabbitmq.conf"; fi
  chmod 600 "$dir/rabbitmq.conf"
  export HOME=$dir/home
  export ERL_EPMD_PORT=$RABBITMQ_EPMD_PORT ERL_EPMD_ADDRESS=127.0.0.1
  # Our own epmd, before the node starts one that outlives it.
  if ! leader "$dir/epmd.pid" >/dev/null; then
    epmd=$(command -v epmd || ls /usr/lib/erlang/erts-*/bin/epmd)
    launch "$dir/epmd.pid" "$LOGS/epmd.log" "$epmd"
  fi
  export RABBITMQ_NODENAME=$CHECKOUT@localhost
  export RABBITMQ_NODE_PORT=$RABBITMQ_PORT RABBITMQ_DIST_PORT
  export RABBITMQ_MNESIA_BASE=$dir/data RABBITMQ_LOG_BASE=$LOGS RABBITMQ_LOGS=-
  export RABBITMQ_PID_FILE=$dir/node.pid RABBITMQ_ENABLED_PLUGINS_FILE=$ROOT/stack/rabbitmq/enabled_plugins
  export RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf RABBITMQ_CONF_ENV_FILE=/dev/null
  export RABBITMQ_ADVANCED_CONFIG_FILE=$dir/none.config RABBITMQ_GENERATED_CONFIG_DIR=$dir/generated
  # The script then becomes the Erlang VM instead of waiting beside it: one process to signal.
  export RABBITMQ_ALLOW_INPUT=1
  export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-noinput -kernel inet_dist_use_interface {127,0,0,1} $RABBITMQ_VM_ARGS"
  [[ -s $LOGS/rabbitmq.log ]] && mv "$LOGS/rabbitmq.log" "$LOGS/rabbitmq.log.1"
  launch "$dir/pid" "$LOGS/rabbitmq.log" "$(rabbitmq_server)"
  await rabbitmq 120 rabbitmq_ready
}

# rabbitmq_eval EXPRESSIONS: what the node makes of them. erl_call needs no virtual machine of its own, whose start would
# take a second of CPU beside what is measured; in a container there is rabbitmqctl.
rabbitmq_eval() {
  local call
  if [[ $MODE == docker ]]; then
    docker_compose exec -T rabbitmq rabbitmqctl eval "$1" </dev/null
    return
  fi
  call=$(command -v erl_call || ls /usr/lib/erlang/erts-*/bin/erl_call) || return 1
  # It keeps the lock, where this shell is killed: what comes next then finds its work done. A broker that is paused for a
  # while is waited for.
  HOME=$STATE/rabbitmq/home ERL_EPMD_PORT=$RABBITMQ_EPMD_PORT \
    timeout 20 "$call" -sname "$CHECKOUT@localhost" -h "stack$$" -e <<<"$1"
}

# rabbitmq_holds: its queues and exchanges by name, and the alarms in force. Names as strings: erl_call shows no binaries.
rabbitmq_holds() {
  rabbitmq_eval '[binary_to_list(element(4, Name)) ||
    Name <- rabbit_amqqueue:list_names() ++ rabbit_exchange:list_names()] ++ rabbit_alarm:get_alarms().'
}

# rabbitmq_alarm on|off: a watermark that is below what the node uses raises the alarm at once. The configured one, which
# setting a watermark leaves as it is, ends it.
rabbitmq_alarm() {
  local watermark='{absolute, 1000000}' wanted=true said
  if [[ $1 == off ]]; then
    watermark='element(2, application:get_env(rabbit, vm_memory_high_watermark))' wanted=false
  fi
  said=$(rabbitmq_eval "ok = vm_memory_monitor:set_vm_memory_high_watermark($watermark),
    lists:keymember({resource_limit, memory, node()}, 1, rabbit_alarm:get_alarms()).") || true
  [[ $said == *"$wanted"* ]] ||
    die "rabbitmq's memory alarm could not be turned $1: expected $wanted of it, got '$said'; its log is $LOGS/rabbitmq.log"
}

# No broker process, so its CPU is nobody's; it ends with the stack, and a killed broker finds it again.
rabbitmq_down() { slay "$STATE/rabbitmq/epmd.pid"; }

rabbitmq_facts() { # rabbitmq_facts STATE: a paused broker cannot say its version
  fact HOPBENCH_AMQP_URL "$(rabbitmq_url)"
  if tls_ready; then fact HOPBENCH_AMQPS_URL "$(rabbitmq_tls_url)"; fi
  [[ $1 != running ]] || fact HOPBENCH_RABBITMQ_VERSION "$(amqp_version 127.0.0.1 "$RABBITMQ_PORT")"
  fact HOPBENCH_RABBITMQ_ARGS "$RABBITMQ_VM_ARGS"
}
