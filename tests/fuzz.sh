#!/usr/bin/env bash
# What `make fuzz [SECONDS=n] [TARGET=name]` runs: each fuzz target for so many seconds, beginning with the answers that the tests hold. What they
# came to stands in target/fuzz.tsv: target, seconds, inputs tried, findings. A finding lies in fuzz/artifacts and fails this.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${SECONDS_EACH:-60}
# The sanitizers need a nightly compiler, coverage does not: the pinned one will do.
export RUSTC_BOOTSTRAP=1
version=0.13.2

fuzz() {
    if command -v cargo-fuzz >/dev/null 2>&1; then
        cargo fuzz "$@"
    else
        [[ -x target/tools/bin/cargo-fuzz ]] || cargo install cargo-fuzz --locked --version "$version" --root target/tools
        PATH="$PWD/target/tools/bin:$PATH" cargo fuzz "$@"
    fi
}

# begin TARGET FILE...: inputs to begin with.
begin() {
    local target=$1 file
    shift
    mkdir -p "fuzz/corpus/$target"
    for file in "$@"; do
        case $file in
        # A recorded exchange: what stands behind its head.
        *.http) awk 'body { print } /^\r?$/ { body = 1 }' "$file" >"fuzz/corpus/$target/$(basename "$file")" ;;
        *) cp "$file" "fuzz/corpus/$target/" ;;
        esac
    done
}

begin soap_answer tests/data/contactlist/*.http
begin soap_record
begin queue_xml tests/data/association_anywhere/queue-*.xml
begin details_xml tests/data/association_anywhere/details-*.xml
begin webhook_body tests/data/data_sync/*.json
begin webhook_payload
begin mapping_yaml mappings/*.yaml tests/scenarios/mapping.yaml
begin config_yaml src/config/starter/*.yaml
begin email_key
begin wall_time
begin state_link
begin state_record
printf '<entityId>7</entityId><externalId>A-1</externalId><emailAddress>a@example.org</emailAddress><deleted>false</deleted><dateOfBirth>1980-02-29T00:00:00</dateOfBirth><addresses><Address><addressTypeID>1</addressTypeID><city>X</city></Address></addresses>' >fuzz/corpus/soap_record/one
printf '{"customerID":2142,"firstName":"Ann","addresses":[{"city":"X"}]}' >fuzz/corpus/webhook_payload/one
printf 'Ann.O+x@Bücher.example' >fuzz/corpus/email_key/one

targets=${TARGET:-$(fuzz list)}
fuzz build -s none
mkdir -p target
failed=0
: >target/fuzz.tsv.new
for target in $targets; do
    log=target/fuzz-$target.log
    fuzz run -s none "$target" -- -max_total_time="$seconds" -max_len=65536 -timeout=10 -print_final_stats=1 >"$log" 2>&1 || failed=1
    tried=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    found=$(find "fuzz/artifacts/$target" -type f 2>/dev/null | wc -l)
    printf '%s\t%s\t%s\t%s\n' "$target" "$seconds" "${tried:-0}" "$found" | tee -a target/fuzz.tsv.new
done
mv target/fuzz.tsv.new target/fuzz.tsv
exit "$failed"
