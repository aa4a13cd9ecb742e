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
        # A recorded exchange: its answer, without its head.
        *.http) awk 'body { print } answer && /^\r?$/ { body = 1 } /^----- answer -----/ { answer = 1; getline }' "$file" >"fuzz/corpus/$target/$(basename "$file")" ;;
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
begin jwt
begin http_answer
begin decide
begin report_export
begin yaserde_differential
printf '<entityId>7</entityId><externalId>A-1</externalId><emailAddress>a@example.org</emailAddress><deleted>false</deleted><dateOfBirth>1980-02-29T00:00:00</dateOfBirth><lastUpdateDate>2026-11-22T10:00:00.123</lastUpdateDate><addresses><Address><addressTypeID>1</addressTypeID><city>Łódź</city></Address></addresses>' >fuzz/corpus/soap_record/one
printf '{"customerID":2142,"firstName":"Ann","addresses":[{"city":"X"}]}' >fuzz/corpus/webhook_payload/one
printf 'Ann.O+x@Bücher.example' >fuzz/corpus/email_key/one
# A table: cells end with U+001F, rows with U+001E.
printf 'members\x1f1\x1f77\x1f=HYPERLINK("x")\x1emembers\x1fa,b\x1f78\x1f\x1eold\x1f-2\x1f\xef\xbc\x9dSUM\x1ftwo\r\nlines\x1b[2J' >fuzz/corpus/report_export/table
printf 'bridge,local_key,remote_id,external_id\r\nmembers,1,77,"\x27=1+1"\r\nmembers,"a,b",78,"two\nlines"\r\n' >fuzz/corpus/report_export/file
# Values and lists as the service writes them; what both decoders take.
cp fuzz/corpus/soap_record/one fuzz/corpus/yaserde_differential/one
printf '<entityId>9</entityId><firstName>A &amp; B</firstName><lastName><![CDATA[<x>]]></lastName><deleted>true</deleted><relationships><Relationship><entityId>1</entityId><entityType>3</entityType><name>X</name></Relationship></relationships><phoneNos><PhoneNo><phoneNoTypeID>7</phoneNoTypeID><phoneNo>a@example.org</phoneNo></PhoneNo></phoneNos><crmForms><CrmForms><formId>4</formId><formName>F</formName><crmFormFields><CrmFormFields><fieldId>5</fieldId><fieldTypeId>1</fieldTypeId><fieldName>n</fieldName><fieldValue>v</fieldValue></CrmFormFields></crmFormFields></CrmForms></crmForms><MasterOptIn>true</MasterOptIn>' >fuzz/corpus/yaserde_differential/lists
# Whole answers, head and body, as they go over the wire; the first byte says so.
for file in tests/data/contactlist/*.http; do
    awk '
        BEGIN { printf "r" }
        body { print }
        answer && !body { sub(/\r?$/, "\r"); print; if ($0 == "\r") body = 1 }
        /^----- answer -----/ { answer = 1 }' "$file" >"fuzz/corpus/http_answer/$(basename "$file")"
done
# And stories (http_answer/story.rs), whatever they tell.
z='\x00\x00\x00'
for byte in 08 28 48 68 88 a8 c8 e8; do
    printf "s$z\x$byte$z\x$byte$z\x10$z\x20$z\x$byte$z\x20\x$byte\x00\x10\x00$z" >"fuzz/corpus/http_answer/story-$byte"
done
printf 'rHTTP/1.1 503 x\r\nRetry-After: 7\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n<a/>\r\n0\r\n\r\n' >fuzz/corpus/http_answer/chunked
printf 'rHTTP/1.1 307 x\r\nLocation: https://evil.example.org/\r\nContent-Length: 0\r\n\r\n' >fuzz/corpus/http_answer/redirect
printf 'rHTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00' >fuzz/corpus/http_answer/gzip
# Tokens that the test issuer has signed (jwt/issuer.rs) and one that nobody has, a token of our own, and a request for one.
printf 'r%s' 'eyJhbGciOiJFZERTQSIsImtpZCI6ImQifQ.eyJhdWQiOiJjb250YWN0YnJpZGdlIiwiZXhwIjoxODAwMDAxODAwLCJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLm9yZyIsInN1YiI6Im9yY2UifQ.DWL9hF4GbKDVcT49qrt48ibxM2JaXkUc5KqZ2iIi5pmO67aBT6_OQfmoPRym7ViyQr7NlHSKl6ZLr5wwEi_6Cw' >fuzz/corpus/jwt/ed25519
printf 'r%s' 'eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJhdWQiOiJjb250YWN0YnJpZGdlIiwiZXhwIjoxODAwMDAxODAwLCJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLm9yZyIsInN1YiI6Im9yY2UifQ.Bu-ducSjyi8wiiLodtuGI_cLqgAOgptiSsMROlNiCelM8RnroggSvQbwbZkkjsRO7Ex172HzCoOFDnSlMiW3IZpcrRuFUnU3sVxL2kt1AOAB0kJ50fr2UmFjuGCUwKobyJur7WGnZighkaIvMpHPiZKJzQwyxZhOjXk-_b0WNC8CKBmNZiBkFh5RMflmKhRWi_ZfYitXJFuTTf7LipXnNQeSVFvtmROa5GEoL6-sYdKVcPKTTt0q5IflnMn7kT7sWZfJ0Ixllucp3L8JmEjyLYIjssr0h534XezL2uEcKNy2HFpAvq2olWT9cowIaN-O5HYyZ8tJJ1Rl2EBvGST8aQ' >fuzz/corpus/jwt/rsa
printf 'r%s' 'eyJhbGciOiJub25lIn0.eyJhdWQiOiJjb250YWN0YnJpZGdlIiwiZXhwIjoxODAwMDAxODAwLCJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLm9yZyIsInN1YiI6Im9yY2UifQ.' >fuzz/corpus/jwt/unsigned
printf 'oAAAAAGtJ4BAEBAQEBAQEBAQEBAQEBAQETGX9TRmhZP_LiwmPd7CqE2DUOZoNFqNEM4YYxsjrc-Y' >fuzz/corpus/jwt/own
printf 'gBasic b3JjZTpzM2NyZXQ=\nscope=a\ngrant_type=client_credentials&client_id=orce&client_secret=s3cret' >fuzz/corpus/jwt/grant

targets=${TARGET:-$(fuzz list)}
# All at once takes less time than one by one; a single one is built when it is run.
[[ -n ${TARGET:-} ]] || fuzz build -s none
mkdir -p target
failed=0
: >target/fuzz.tsv.new
for target in $targets; do
    log=target/fuzz-$target.log
    case $target in
    soap_* | *_xml | yaserde_*) words=(-dict=fuzz/xml.dict) ;;
    *) words=() ;;
    esac
    fuzz run -s none "$target" -- -max_total_time="$seconds" -max_len=65536 -timeout=10 -print_final_stats=1 "${words[@]+"${words[@]}"}" >"$log" 2>&1 || failed=1
    tried=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    found=$(find "fuzz/artifacts/$target" -type f 2>/dev/null | wc -l)
    printf '%s\t%s\t%s\t%s\n' "$target" "$seconds" "${tried:-0}" "$found" | tee -a target/fuzz.tsv.new
done
mv target/fuzz.tsv.new target/fuzz.tsv
exit "$failed"
