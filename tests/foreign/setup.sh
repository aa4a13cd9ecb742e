#!/usr/bin/env bash
# Installs the stacks of other make that the tests use into target/foreign: zeep and prometheus_client (Python), soap and oidc-provider (Node).
# Does nothing when they are there already. Needs python3 with venv, node and npm, and the package indexes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
here=$PWD
place=$here/../../target/foreign
mkdir -p "$place"

# Several tests, or several of us, may ask at once.
if command -v flock >/dev/null 2>&1; then
    exec 9>"$place/.lock"
    flock 9
fi

# fresh NAME FILE...: whether NAME was installed from these very files.
fresh() {
    local name=$1
    shift
    [[ -f $place/$name.stamp ]] && cat "$@" | cmp -s - "$place/$name.stamp"
}

if ! fresh python requirements.txt || ! "$place/venv/bin/python" -c 'import zeep, prometheus_client' 2>/dev/null; then
    rm -rf "$place/venv" "$place/python.stamp"
    python3 -m venv "$place/venv"
    "$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
    "$place/venv/bin/python" -c 'import zeep, prometheus_client'
    cat requirements.txt >"$place/python.stamp"
fi

if ! fresh node package.json package-lock.json || [[ ! -d $place/node/node_modules/soap ]]; then
    rm -rf "$place/node" "$place/node.stamp"
    mkdir -p "$place/node"
    cp package.json package-lock.json "$place/node/"
    (cd "$place/node" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    cat package.json package-lock.json >"$place/node.stamp"
fi

if ! fresh idp idp/package.json idp/package-lock.json || [[ ! -d $place/idp/node_modules/oidc-provider ]]; then
    rm -rf "$place/idp" "$place/idp.stamp"
    mkdir -p "$place/idp"
    cp idp/package.json idp/package-lock.json "$place/idp/"
    (cd "$place/idp" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    cat idp/package.json idp/package-lock.json >"$place/idp.stamp"
fi
