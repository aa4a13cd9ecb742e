#!/usr/bin/env bash
# What `make evidence [SEEDS=n] [LIVES=n]` runs: everything whose counts stand in docs/evidence.md, and then writes that page from what was counted.
# `tests/evidence.sh page` only writes the page, from what was counted last.
# Fuzzing and mutation testing take long and are run before it (`make fuzz`, `make mutants`); what they left in target is taken along.
set -uo pipefail
# Read whole before it runs: it may be edited meanwhile.
{
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seeds=${1:-3000}
lives=${LIVES:-1000}
export EVIDENCE_DIR="$PWD/target/evidence" RUST_BACKTRACE=0
status=0
if [[ $seeds != page ]]; then
    rm -rf "$EVIDENCE_DIR"
    mkdir -p "$EVIDENCE_DIR"
    printf 'command: `make evidence SEEDS=%s LIVES=%s`\n' "$seeds" "$lives" >"$EVIDENCE_DIR/command"
fi

# counted NAME ARGUMENTS...: runs a part of the tests and keeps what it prints.
counted() {
    local name=$1
    shift
    [[ $seeds != page ]] || return 0
    printf '=== %s\n' "$name"
    cargo test --locked "$@" >"$EVIDENCE_DIR/$name.log" 2>&1 || status=1
    grep -E '^test result|worlds|visited' "$EVIDENCE_DIR/$name.log" || true
}

# A thread for each kind; the rate is that of the thread's own CPU time.
SIM_SEEDS=$seeds counted worlds --test sim _worlds_ -- --nocapture
SIM_CRASH_SEEDS=${CRASH_SEEDS:-20} counted points --test sim every_point_of_a_run_may -- --nocapture
SIM_CRASH_SEEDS=${CRASH_SEEDS:-20} counted pairs --test sim a_run_that_recovers -- --nocapture
counted ablations --test sim ablations -- --nocapture --test-threads=1
SIM_SEEDS=$lives counted queues --test sim queues_ -- --nocapture --test-threads=1
SIM_SEEDS=$lives counted messages --test sim post:: -- --nocapture --test-threads=1
# Database servers for the kills, where they are installed; the page says what was skipped for want of one.
if [[ $seeds != page ]]; then
    . tests/servers/servers.sh
    trap servers_stop EXIT
    for server in postgres mariadb; do
        servers_start "$server" || printf 'without %s: %s\n' "$server" "$servers_reason"
    done
fi
# The program as it is delivered.
program=$PWD/target/release/contactbridge
[[ $seeds == page ]] || cargo build --release --locked || exit 1
CONTACTBRIDGE_TEST_PROGRAM=$program counted kills --test it kill -- --nocapture --test-threads=1
CONTACTBRIDGE_TEST_PROGRAM=$program counted torture-kills --test it h20_five_hundred -- --ignored --nocapture --test-threads=1
counted state-kills --test state_crash kill -- --nocapture --test-threads=1
counted bad-config --lib config::bad_input
counted bad-mapping --lib mapping::tests::load
counted bad-answers --test it crm_answers
counted bad-records --test it crm_records
counted bad-cli --test it cli

# Kills: what the tests of the real program say themselves.
for log in kills torture-kills state-kills; do
    sed -n 's/^\(test \([^ ]*\) \.\.\. \)\{0,1\}\([0-9]* of [0-9]* runs were killed\).*/\2\t\3/p' "$EVIDENCE_DIR/$log.log"
    skipped=$(grep -c SKIPPED "$EVIDENCE_DIR/$log.log")
    sed -n "s/^test result: ok. \([0-9]*\) passed.*/$log\t\1 tests of kills passed, $skipped of them skipped for want of a database server/p" "$EVIDENCE_DIR/$log.log"
done >"$EVIDENCE_DIR/kills.tsv"
for of in config mapping answers records cli; do
    sed -n "s/^test result: [a-zA-Z]*. \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p" "$EVIDENCE_DIR/bad-$of.log" | head -1 |
        while read -r passed failed; do
            printf 'bad %s\t%s of %s\n' "$of" "$passed" "$((passed + failed))"
        done
done >"$EVIDENCE_DIR/bad.tsv"
[[ -f target/fuzz.tsv ]] && cp target/fuzz.tsv "$EVIDENCE_DIR/"
[[ -f target/mutants.tsv ]] && cp target/mutants.tsv "$EVIDENCE_DIR/"
{
    printf 'commit\t%s\n' "$(git rev-parse --short HEAD)$(git diff --quiet HEAD -- src tests || printf ' with changes')"
    printf 'date\t%s\n' "$(date -u +%F)"
    sed 's/: /\t/' "$EVIDENCE_DIR/command"
    printf 'machine\t%s CPUs, %s\n' "$(nproc)" "$(uname -sm)"
} >"$EVIDENCE_DIR/facts.tsv"
cargo test --locked --test sim write_docs_evidence -- --ignored >"$EVIDENCE_DIR/page.log" 2>&1 || status=1
printf 'docs/evidence.md is written; what was counted lies in %s\n' "$EVIDENCE_DIR"
exit "$status"
}
