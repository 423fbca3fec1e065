#!/usr/bin/env bash
# Every check that needs no broker. A tool that is not here is said to be missing; what runs has to pass.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() { printf 'lint: %s\n' "$*" >&2; "$@"; }
skip() { printf 'lint: SKIPPED %s\n' "$*" >&2; }

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --locked -q -- -D warnings
RUSTDOCFLAGS='-D warnings' step cargo doc --no-deps --workspace --locked -q

if cargo deny --version >/dev/null 2>&1; then
  # Only the advisories need the network.
  step cargo deny --log-level error check licenses bans sources
  if timeout 60 cargo deny --log-level off fetch db >/dev/null 2>&1; then
    step cargo deny --log-level error check --disable-fetch advisories
  else
    skip "cargo deny check advisories: the advisory database cannot be reached"
  fi
else
  skip "cargo deny: not installed (cargo install cargo-deny --locked)"
fi

if command -v shellcheck >/dev/null; then
  step shellcheck -x stack/stack stack/install.sh stack/lint.sh .ci/run
else
  skip "shellcheck: not installed (apt install shellcheck)"
fi

if docker compose version >/dev/null 2>&1; then
  step docker compose --profile client config -q
elif command -v docker-compose >/dev/null; then
  step docker-compose --profile client config -q
else
  skip "docker-compose.yml: neither 'docker compose' nor docker-compose is here (apt install docker-compose)"
fi
