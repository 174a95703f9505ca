#!/bin/bash
# What docker-compose.yaml expects of the public image: passwords for every connection by TCP, none
# by the socket; the scripts of /docker-entrypoint-initdb.d run once, on a server without TCP.
set -euo pipefail

data=/var/lib/postgresql/data
export POSTGRES_USER=postgres

if [ "$(id -u)" = 0 ]; then
    chown postgres:postgres "$data"
    exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0"
fi
if [ ! -e "$data/PG_VERSION" ]; then
    initdb --pgdata="$data" --username="$POSTGRES_USER" --encoding=UTF8 --locale=C.UTF-8 \
        --auth-local=trust --auth-host=scram-sha-256 --pwfile=<(echo "$POSTGRES_PASSWORD")
    echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
    pg_ctl --pgdata="$data" --wait --options="-c listen_addresses=''" start
    for script in /docker-entrypoint-initdb.d/*.sh; do
        "$script"
    done
    pg_ctl --pgdata="$data" --wait stop
fi
exec postgres -D "$data" -c listen_addresses='*'
