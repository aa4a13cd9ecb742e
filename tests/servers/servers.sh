# Private database servers for the tests: in a directory of their own, on loopback and a port that the system chose.
# Sourced by tests/run.sh; servers_start exports the addresses that tests look for, servers_stop ends what was started.

servers_dir=
servers_reason=

# Programs of a server that Debian keeps off the PATH.
postgres_program() {
    local found
    found=$(command -v "$1" || ls -1 /usr/lib/postgresql/*/bin/"$1" 2>/dev/null | sort -V | tail -n 1)
    [[ -n $found ]] && printf '%s\n' "$found"
}

mariadb_server() {
    command -v mariadbd || command -v mysqld || ls -1 /usr/sbin/mariadbd /usr/sbin/mysqld 2>/dev/null | head -n 1
}

free_port() {
    perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

# as USER COMMAND...: neither server may run as root; anybody else runs it as himself.
as() {
    local user=$1
    shift
    if [[ $(id -u) == 0 ]]; then
        runuser -u "$user" -- "$@"
    else
        "$@"
    fi
}

# An authority, and a certificate of it for this machine: what TLS is tried with.
servers_certificates() {
    local dir=$1
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=contactbridge test authority' \
        -keyout "$dir/ca.key" -out "$dir/ca.pem" 2>/dev/null &&
        openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' \
            -keyout "$dir/server.key" -out "$dir/server.csr" 2>/dev/null &&
        openssl x509 -req -days 2 -in "$dir/server.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial \
            -extfile <(printf 'subjectAltName=DNS:localhost') -out "$dir/server.pem" 2>/dev/null
}

postgres_start() {
    local dir=$servers_dir/postgres port
    mkdir -p "$dir" && cp "$servers_dir"/server.{pem,key} "$dir" && chmod 600 "$dir/server.key" || return 1
    [[ $(id -u) == 0 ]] && chown -R postgres "$dir"
    as postgres "$(postgres_program initdb)" -D "$dir/data" -A trust -U postgres -E UTF8 --locale=C.UTF-8 --no-sync \
        >"$servers_dir/postgres.log" 2>&1 || return 1
    port=$(free_port)
    # Nothing here has to survive the machine: no fsync.
    as postgres "$(postgres_program pg_ctl)" -D "$dir/data" -l "$dir/log" -w start -o "-p $port -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories=$dir -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200 \
        -c ssl=on -c ssl_cert_file=$dir/server.pem -c ssl_key_file=$dir/server.key" \
        >>"$servers_dir/postgres.log" 2>&1 || return 1
    export CONTACTBRIDGE_TEST_POSTGRES=postgres://postgres@127.0.0.1:$port/postgres
}

mariadb_start() {
    local dir=$servers_dir/mariadb port user
    user=$(id -un)
    [[ $user == root ]] && user=mysql
    mkdir -p "$dir" && cp "$servers_dir"/{ca,server}.pem "$servers_dir/server.key" "$dir" || return 1
    [[ $(id -u) == 0 ]] && chown -R "$user" "$dir"
    mariadb-install-db --no-defaults --user="$user" --datadir="$dir/data" --auth-root-authentication-method=normal \
        --skip-test-db >"$servers_dir/mariadb.log" 2>&1 || return 1
    port=$(free_port)
    # In a session of its own, so that Ctrl-C reaches the tests first.
    setsid "$(mariadb_server)" --no-defaults --user="$user" --datadir="$dir/data" --port="$port" --bind-address=127.0.0.1 \
        --socket="$dir/socket" --innodb-flush-log-at-trx-commit=0 --max-connections=200 --skip-name-resolve=0 \
        --ssl-ca="$dir/ca.pem" --ssl-cert="$dir/server.pem" --ssl-key="$dir/server.key" \
        >>"$servers_dir/mariadb.log" 2>&1 &
    mariadb_pid=$!
    local tries
    for tries in $(seq 100); do
        if mariadb --no-defaults -h 127.0.0.1 -P "$port" -u root -e 'SELECT 1' >/dev/null 2>&1; then
            export CONTACTBRIDGE_TEST_MYSQL=mysql://root@127.0.0.1:$port/mysql
            return 0
        fi
        kill -0 "$mariadb_pid" 2>/dev/null || return 1
        sleep 0.2
    done
    return 1
}

# servers_start postgres|mariadb...: false, with the cause in servers_reason, where one does not start.
servers_start() {
    if [[ -z $servers_dir ]]; then
        servers_dir=$(mktemp -d) && chmod 755 "$servers_dir" && servers_certificates "$servers_dir" || {
            servers_reason="no certificates could be made"
            return 1
        }
        export CONTACTBRIDGE_TEST_AUTHORITY=$servers_dir/ca.pem
    fi
    "${1}_start" && return 0
    servers_reason="it did not start: $(tail -n 1 "$servers_dir/$1.log" 2>/dev/null)"
    return 1
}

servers_stop() {
    [[ -n $servers_dir ]] || return 0
    if [[ -n ${CONTACTBRIDGE_TEST_POSTGRES:-} && -d $servers_dir/postgres/data ]]; then
        as postgres "$(postgres_program pg_ctl)" -D "$servers_dir/postgres/data" -m immediate stop >/dev/null 2>&1
    fi
    if [[ -n ${mariadb_pid:-} ]]; then
        kill "$mariadb_pid" 2>/dev/null && wait "$mariadb_pid" 2>/dev/null
    fi
    rm -rf "$servers_dir"
    servers_dir=
}
