#!/bin/sh
# Entrypoint: `/bin/sh /launch.sh init`, as in Spilo (which goes on with runit; here a loop in this script is enough).
if [ "$1" = init ]; then exec /usr/bin/dumb-init -c -- /bin/sh /launch.sh run; fi

mkdir -p "$PGLOG" "$PGDATA" "$RW_DIR/postgresql" "$RW_DIR/tmp" "$RW_DIR/certs"
if [ "$(id -u)" -ne 0 ]; then # a pod with runAsUser: its user id becomes the one of 'postgres'
  sed -e "s/^postgres:x:[^:]*:[^:]*:/postgres:x:$(id -u):$(id -g):/" /etc/passwd >"$RW_DIR/tmp/passwd"
  cat "$RW_DIR/tmp/passwd" >/etc/passwd
  rm "$RW_DIR/tmp/passwd"
fi
chown -R postgres: "$PGROOT" "$RW_DIR/certs" "$RW_DIR/postgresql" 2>/dev/null
chmod -R go-w "$PGROOT"
chmod 01777 "$RW_DIR/tmp"
chmod 0700 "$PGDATA"
chmod 2775 "$RW_DIR/postgresql"
python3 /scripts/configure.py || exit 1

# as_postgres COMMAND...: in the place of this (sub)shell
as_postgres() {
  [ "$(id -u)" != 0 ] || set -- setpriv --reuid postgres --regid postgres --init-groups "$@"
  exec "$@"
}

# The first base backup, once this member leads.
if [ -d "$WALE_ENV_DIR" ]; then as_postgres envdir "$WALE_ENV_DIR" /scripts/archive.py first-backup & fi

# Patroni, with only the part of the environment that Spilo lets through. Called in the background, so that `exec`
# replaces the subshell and $! is Patroni itself: SIGTERM must reach it, or the leader's lock is not released.
start_patroni() {
  # shellcheck disable=SC3028 # the container runtime sets HOSTNAME
  as_postgres env -i PATH="$PATH" HOME=/home/postgres PGHOME="$PGHOME" LC_ALL="$LC_ALL" HOSTNAME="$HOSTNAME" \
    POD_IP="$POD_IP" POD_NAMESPACE="$POD_NAMESPACE" KUBERNETES_ROLE_LABEL="$KUBERNETES_ROLE_LABEL" \
    KUBERNETES_SERVICE_HOST="$KUBERNETES_SERVICE_HOST" KUBERNETES_SERVICE_PORT="$KUBERNETES_SERVICE_PORT" \
    KUBERNETES_PORT="$KUBERNETES_PORT" "$@"
}

stopping=
trap 'stopping=yes; kill -TERM "$patroni" 2>/dev/null' TERM INT QUIT
while :; do
  start_patroni patroni /home/postgres/postgres.yml &
  patroni=$!
  wait "$patroni"
  if [ -n "$stopping" ]; then
    wait "$patroni" # the first wait was ended by the signal, not by Patroni
    exit 0
  fi
  sleep 1 # Patroni ended by itself: it is started again, as runit does
  python3 /scripts/rejoin.py
done
