#!/usr/bin/env bash
# What `make mutants [FILE=merge]` runs: breaks the pure decisions of the engine and the scan of a moving list (`.cargo/mutants.toml`) one place at a time, and counts what the unit
# tests beside them notice. What it came to stands in target/mutants.tsv: file, mutants, caught, timed out, does not compile, left. What is left
# without a line in docs/mutants.md fails this.
# The whole library takes ten seconds a mutant; so these modules are put into a crate of their own, with the types that they name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=27.1.0
work=$PWD/target/mutants
crate=${MUTANTS_CRATE:-$work/crate}
target=${CARGO_TARGET_DIR:-$PWD/target}
export PATH="$PWD/target/tools/bin:$PATH"
command -v cargo-mutants >/dev/null 2>&1 || cargo install cargo-mutants --locked --version "$version" --root target/tools

rm -rf "$crate"
mkdir -p "$work" "$crate/src/sync/memory" "$crate/.cargo"
cp rust-toolchain.toml "$crate/"
cp .cargo/mutants.toml "$crate/.cargo/"
# Without what has no file there, the benches and the binary; under another name, so that it does not take the place of the library in target.
rename='s/^name = "contactbridge"$/name = "contactbridge-decisions"/'
awk '/^default-run|^readme/ { next } /^\[/ { bench = /^\[\[bench/ } !bench' Cargo.toml | sed "$rename" >"$crate/Cargo.toml"
sed "$rename" Cargo.lock >"$crate/Cargo.lock"
cp -R src/model "$crate/src/"
cp src/sync/{correlate,guard,merge,plan,report,resolve}.rs "$crate/src/sync/"
cp -R src/sync/{merge,plan} "$crate/src/sync/"
cp src/sync/memory/link.rs "$crate/src/sync/memory/"
printf 'pub mod model;\npub mod remote;\npub mod sync;\n' >"$crate/src/lib.rs"
# The scan above its calls: nothing of the wire, nor of the other services.
mkdir -p "$crate/src/remote/contactlist"
cp src/remote/zone.rs "$crate/src/remote/"
grep -vE '^(pub )?mod (association_anywhere|data_sync|http|queue|redact|xml);|^pub use queue::' src/remote/mod.rs >"$crate/src/remote/mod.rs"
cp src/remote/contactlist/{calls,feed,feed_tests,schema,seam,vocabulary}.rs "$crate/src/remote/contactlist/"
awk '
    /^(pub )?mod / && !/^mod (calls|feed|feed_tests|schema|seam|tests|vocabulary)/ { next }
    /^pub use (super|client|decode|description|encode|envelope|fault|outcome)/ { dropped = !/;$/; next }
    dropped { dropped = !/;$/; next }
    # An attribute stands with what follows it.
    /^#\[cfg\(test\)\]/ { getline following; if (following ~ /^mod (feed_tests;|tests )/) print $0 "\n" following; next }
    { print }' src/remote/contactlist/mod.rs >"$crate/src/remote/contactlist/mod.rs"
printf 'pub mod %s;\n' correlate guard memory merge plan report resolve view >"$crate/src/sync/mod.rs"
printf 'mod link;\npub use link::{Base, ChildBase, Link, Side};\n' >"$crate/src/sync/memory/mod.rs"
# Of the views only the types: how they are read needs mappings.
{
    printf 'use crate::model::{Canonical, Cell, Digest, FieldProblem, LocalKey, RemoteId, Stamp};\n'
    sed -n '/^\/\/\/ The parts of one child rule/,/^\/\/\/ The digest of one canonical/{/^\/\/\/ The digest of one canonical/!p}' src/sync/view.rs
    sed -n '/^impl LocalView/,/^}/p; /^impl RemoteView/,/^}/p' src/sync/view.rs
} >"$crate/src/sync/view.rs"

CARGO_TARGET_DIR=$target CARGO_PROFILE_DEV_DEBUG=false cargo mutants --dir "$crate" --in-place --timeout "${TIMEOUT:-20}" --output "$work" \
    ${FILE:+--re "src/.*/$FILE.rs:"} --no-times --colors never -- --locked >"$work/log" 2>&1 || status=$?
# 2: some were missed; 3: some timed out. Anything else says nothing about mutants.
case ${status:-0} in
0 | 2 | 3) ;;
*)
    tail -40 "$work/log" >&2
    exit 1
    ;;
esac

out=$work/mutants.out
for kind in caught timeout unviable missed; do
    awk -F: -v kind="$kind" '{ print $1 "\t" kind }' "$out/$kind.txt"
done | awk -F'\t' '
    { count[$1 "\t" $2]++; all[$1]++ }
    function of(file, kind) { return count[file "\t" kind] + 0 }
    END {
        for (file in all)
            printf "%s\t%d\t%d\t%d\t%d\t%d\n", file, all[file], of(file, "caught"), of(file, "timeout"), of(file, "unviable"), of(file, "missed")
    }' | sort >target/mutants.tsv
cat target/mutants.tsv

# An explained one stands in docs/mutants.md by its file, function and change: lines move.
failed=0
while IFS= read -r mutant; do
    plain=$(sed 's/:[0-9]*:[0-9]*:/:/' <<<"$mutant")
    if ! grep -qF "\`$plain\`" docs/mutants.md; then
        printf 'not noticed: %s\n' "$mutant"
        failed=1
    fi
done <"$out/missed.txt"
exit "$failed"
