#!/bin/sh
# Entrypoint of the pooler image: the variables that an operator sets on its PgBouncer pods become a pgbouncer.ini.
# It runs as user 100, group 101, so nothing is written outside /tmp.
set -e
folder=/tmp/pgbouncer
mkdir -p $folder

if [ -f "$CONNECTION_POOLER_CLIENT_TLS_CRT" ]; then
  certificate=$CONNECTION_POOLER_CLIENT_TLS_CRT key=$CONNECTION_POOLER_CLIENT_TLS_KEY
else
  certificate=$folder/server.crt key=$folder/server.key
  [ -f $certificate ] || openssl req -nodes -new -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
    -subj /CN=pooler -days 3650 -keyout $key -out $certificate 2>/dev/null
fi

{
  printf '"%s" "%s"\n' "$PGUSER" "$PGPASSWORD"
  # infrastructure roles: an operator mounts them here, with the pooler's own user
  if [ -f /etc/pgbouncer/userlist.txt ]; then grep -v "^\"$PGUSER\" " /etc/pgbouncer/userlist.txt || true; fi
} >$folder/auth_file.txt

cat >$folder/pgbouncer.ini <<INI
[databases]
* = host=$PGHOST port=${PGPORT:-5432} auth_user=$PGUSER
[pgbouncer]
pool_mode = ${CONNECTION_POOLER_MODE:-transaction}
listen_port = ${CONNECTION_POOLER_PORT:-5432}
listen_addr = *
auth_type = md5
auth_file = $folder/auth_file.txt
auth_dbname = postgres
auth_query = SELECT * FROM ${PGSCHEMA:-pooler}.user_lookup(\$1)
admin_users = $PGUSER
unix_socket_dir = $folder
server_tls_sslmode = require
client_tls_sslmode = require
client_tls_cert_file = $certificate
client_tls_key_file = $key
${CONNECTION_POOLER_CLIENT_CA_FILE:+client_tls_ca_file = $CONNECTION_POOLER_CLIENT_CA_FILE}
default_pool_size = ${CONNECTION_POOLER_DEFAULT_SIZE:-50}
max_client_conn = ${CONNECTION_POOLER_MAX_CLIENT_CONN:-10000}
max_db_connections = ${CONNECTION_POOLER_MAX_DB_CONN:-60}
min_pool_size = ${CONNECTION_POOLER_MIN_SIZE:-25}
reserve_pool_size = ${CONNECTION_POOLER_RESERVE_SIZE:-25}
ignore_startup_parameters = extra_float_digits,options
INI

if [ "$(id -u)" = 0 ]; then # PgBouncer refuses to run as root
  chown -R postgres $folder
  exec setpriv --reuid postgres --regid postgres --init-groups pgbouncer $folder/pgbouncer.ini
fi
exec pgbouncer $folder/pgbouncer.ini
