#!/usr/bin/env bash
# What `make test` runs: looks for what the tests need, installs it where it may (as root on Debian), runs them,
# and says what was left out. With CI=true nothing may be left out. `--torture` runs the long tests instead.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

skipped=()
strict() { [[ ${CI:-} == true ]]; }
has() { command -v "$1" >/dev/null 2>&1; }
may_install() { [[ $(id -u) == 0 && -f /etc/debian_version ]] && has apt-get; }

fail() {
    printf 'make test: %s\n' "$*" >&2
    exit 1
}

# needs COMMAND PACKAGE...: makes sure that a command is there; true if it is.
needs() {
    local command=$1
    shift
    has "$command" && return 0
    may_install || return 1
    if [[ -z ${updated:-} ]]; then
        apt-get update -qq || return 1
        updated=1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null || return 1
    has "$command"
}

# Debian cuts venv off python3.
venv_works() {
    python3 -c 'import ensurepip' 2>/dev/null && return 0
    may_install && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null && python3 -c 'import ensurepip'
}

skip() {
    strict && fail "$1 can't run here: $2 (and CI=true leaves nothing out)"
    skipped+=("$1: $2")
}

has cargo || fail "Rust is missing: see https://rustup.rs (the version stands in rust-toolchain.toml)"
needs cc gcc libc6-dev || fail "a C compiler is missing: install gcc (SQLite is built from its source)"

# SOAP stacks of other make, that must agree with ours.
if [[ -x tests/foreign/setup.sh ]]; then
    for tool in python3 node npm; do
        case $tool in
        python3) needs python3 python3 python3-venv && venv_works ;;
        node) needs node nodejs ;;
        npm) needs npm npm ;;
        esac || skip "foreign SOAP stacks" "$tool is not installed (or, for python3, its venv)"
    done
    if [[ ${#skipped[@]} == 0 ]]; then
        tests/foreign/setup.sh || skip "foreign SOAP stacks" "tests/foreign/setup.sh failed (no package index?)"
    fi
fi

# Database servers, for the sides that are not SQLite.
. tests/servers/servers.sh
log=$(mktemp)
trap 'servers_stop; rm -f "$log"' EXIT
# server NAME PROGRAM PACKAGE...: has it installed and started; addresses that are set already are taken as they are.
server() {
    local name=$1 program=$2
    shift 2
    if [[ -z $($program) ]]; then
        may_install && { [[ -n ${updated:-} ]] || apt-get update -qq; } && updated=1 &&
            RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    fi
    if [[ -z $($program) ]]; then
        skip "the tests of $name" "it is not installed"
    elif ! needs openssl openssl || ! needs perl perl; then
        skip "the tests of $name" "openssl or perl is not installed"
    else
        servers_start "$name" || skip "the tests of $name" "$servers_reason"
    fi
}
[[ -n ${CONTACTBRIDGE_TEST_POSTGRES:-} ]] || server postgres "postgres_program initdb" postgresql postgresql-client
[[ -n ${CONTACTBRIDGE_TEST_MYSQL:-} ]] || server mariadb mariadb_server mariadb-server mariadb-client

began=$SECONDS
if [[ ${1:-} == --torture ]]; then
    # The program as it is delivered.
    cargo build --release --locked && export CONTACTBRIDGE_TEST_PROGRAM=$PWD/target/release/contactbridge || exit 1
    CONTACTBRIDGE_TORTURE=1 cargo test --locked --no-fail-fast -- --ignored --skip write_docs_evidence --nocapture --test-threads=1 2>&1 | tee "$log"
else
    cargo test --locked --no-fail-fast 2>&1 | tee "$log"
fi
status=${PIPESTATUS[0]}

# Sums up the "test result:" lines of all binaries.
awk -v status="$status" -v seconds="$((SECONDS - began))" '
    /^test result:/ { passed += $4; failed += $6; ignored += $8 }
    END {
        printf "\n%s: %d passed, %d failed, %d left for `make torture`, %d s\n",
            status == 0 ? "PASSED" : "FAILED", passed, failed, ignored, seconds
    }' "$log"
for reason in "${skipped[@]+"${skipped[@]}"}"; do
    printf 'SKIPPED %s\n' "$reason"
done
exit "$status"
