#!/usr/bin/env bash
# Runs once, when the volume of the database is new: a role and a database for Airflow, and one of
# each for the results, apart from one another. The tables are made by Airflow and `stage4.setup`.
set -euo pipefail

database() { # role, its password, name
    psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" \
        --set role="$1" --set password="$2" --set name="$3" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"role";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
}

database airflow "$AIRFLOW_DB_PASSWORD" airflow
database stage4 "$STAGE4_DB_PASSWORD" stage4_clustering
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname stage4_clustering \
    --command 'CREATE EXTENSION vector'
