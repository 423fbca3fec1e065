# shellcheck shell=bash
# Certificates of one stack: a CA and a server certificate for loopback, made by this repository's own program whenever
# the first broker comes up, gone with the last. Without them the brokers have no TLS listener, and the reason is said.

TLS=$STATE/tls

tls_ready() { [[ -s $TLS/ca.pem ]]; }

# The program that makes them: installed, built already, or built now (some seconds; the brokers take longer).
tls_program() {
  local dir path target=${CARGO_TARGET_DIR:-$ROOT/target}
  command -v make-certificates && return
  for dir in release debug; do
    path=$target/$dir/make-certificates
    # An older one could make other files.
    [[ -x $path && ! $ROOT/certificate/src/main.rs -nt $path && ! $ROOT/certificate/src/lib.rs -nt $path ]] && { echo "$path"; return; }
  done
  (cd "$ROOT" && cargo build -q --locked -p bench-certificate) >"$LOGS/certificates.log" 2>&1 9>&- &&
    echo "$target/debug/make-certificates"
}

tls_make() {
  local program
  rm -rf "$TLS"
  mkdir -p "$TLS"
  if ! program=$(tls_program); then
    echo "the program that makes certificates could not be built: see $LOGS/certificates.log" >"$TLS/reason"
  elif ! "$program" "$TLS" 2>"$LOGS/certificates.log"; then
    echo "no certificates could be made: see $LOGS/certificates.log" >"$TLS/reason"
  else
    return
  fi
  say "no TLS: $(<"$TLS/reason")"
}

tls_facts() {
  if tls_ready; then fact HOPBENCH_TLS_CA "$TLS/ca.pem"
  else fact HOPBENCH_TLS_REASON "$(cat "$TLS/reason" 2>/dev/null || echo "these brokers have no TLS listener: 'make down' and 'make up' give them one")"; fi
}
