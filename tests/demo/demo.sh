#!/bin/bash
# demo.sh [--installed]: the whole path once, for a person to watch: a manifest that is refused with all its errors, one
# that is accepted, SQL, and a rolling update under load. Every part is real; what a light mode cannot do is said. With
# --installed the services are taken as they are there.
set -euo pipefail
# shellcheck source=tests/demo/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
# shellcheck source=tests/demo/progress.sh
source "$REPOSITORY/tests/demo/progress.sh"

MANIFEST=acid-minimal # its name in docs/examples/minimal.yaml
EXAMPLES=docs/examples
SECRET=zalando.$MANIFEST.credentials.postgresql.acid.zalan.do
STOP_FILE=/tmp/demo-writer-stop
WRITER_LOG=$REPOSITORY/target/demo/writer.log
WRITER=

demo_kubectl() { kubectl --namespace "$DEMO_NAMESPACE" "$@"; }

# show ARGUMENTS...: kubectl, printed as a person would type it
show() {
  printf '$ kubectl --namespace %s' "$DEMO_NAMESPACE"
  local word
  for word in "$@"; do
    case $word in *' '* | *'{'*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
  done
  echo
  demo_kubectl "$@"
}

# Where the last demo left a cluster the story would begin in the middle.
clear_namespace() {
  kubectl get namespace "$DEMO_NAMESPACE" >/dev/null 2>&1 && step "removing the last demo" delete_demo
  kubectl create namespace "$DEMO_NAMESPACE" >/dev/null
}

delete_demo() {
  kubectl --namespace "$DEMO_NAMESPACE" delete postgresql --all --timeout=120s
  kubectl delete namespace "$DEMO_NAMESPACE" --timeout=120s
}

refuse() {
  heading "A manifest with mistakes: all of them in one answer"
  sed 's/^/  /' "$EXAMPLES/rejected.yaml"
  echo
  if show apply --filename "$EXAMPLES/rejected.yaml" 2>&1; then
    fail "the manifest was accepted" "look at the webhook: kubectl --namespace $OPERATOR_NAMESPACE logs deployment/postgres-operator-webhook"
  fi
}

# Where PostgreSQL or Patroni cannot be had either, admission and the objects are all there is to show.
has_databases() {
  is_light || return 0
  command -v patroni >/dev/null && { command -v postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }
}

show_objects() {
  show apply --filename "$EXAMPLES/minimal.yaml"
  within 60 "the StatefulSet" demo_kubectl get statefulset "$MANIFEST"
  show get postgresql,statefulset,services,secrets,poddisruptionbudget
  say "skipped: SQL and the rolling update. This machine has no PostgreSQL or no Patroni (Debian packages postgresql, patroni)."
}

create() {
  heading "A manifest without: two members, a user, a database"
  sed 's/^/  /' "$EXAMPLES/minimal.yaml"
  echo
  show apply --filename "$EXAMPLES/minimal.yaml"
  follow 300 all_members_ready ''
}

# start_client: what SQL is sent from. It lives through the update; the password comes from the user's Secret.
start_client() { if is_light; then start_local_client; else start_client_pod; fi; }

start_client_pod() {
  local image
  image=$(demo_kubectl get statefulset "$MANIFEST" --output 'jsonpath={.spec.template.spec.containers[0].image}')
  demo_kubectl apply --filename - >/dev/null <<POD
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: psql
      image: $image
      command: [sleep, infinity]
      env:
        - {name: PGHOST, value: $MANIFEST}
        - {name: PGDATABASE, value: foo}
        - {name: PGSSLMODE, value: require}
        - {name: PGCONNECT_TIMEOUT, value: "2"}
        - {name: PGUSER, valueFrom: {secretKeyRef: {name: $SECRET, key: username}}}
        - {name: PGPASSWORD, valueFrom: {secretKeyRef: {name: $SECRET, key: password}}}
POD
  demo_kubectl wait --for=condition=Ready pod/client --timeout=60s >/dev/null
}

# Light mode has no containers to run a client in and no Services: psql of this machine asks for the primary's address.
start_local_client() {
  say "light mode: no Service has backends here, so psql of this machine goes to the primary pod's own address"
  command -v psql >/dev/null || fail "psql is missing" "it is in the Debian package postgresql-client"
  PGUSER=$(secret_value username) PGPASSWORD=$(secret_value password)
  export PGUSER PGPASSWORD PGDATABASE=foo PGSSLMODE=require PGCONNECT_TIMEOUT=2
  export PRIMARY_OF="$DEMO_NAMESPACE $MANIFEST"
}

secret_value() { demo_kubectl get secret "$SECRET" --output "jsonpath={.data.$1}" | base64 --decode; }

# in_client COMMAND...: where the client is
in_client() {
  if is_light; then
    PGHOST=$(demo_kubectl get pods --selector "cluster-name=$MANIFEST,spilo-role=master" --output 'jsonpath={.items[0].status.podIP}') "$@"
  else
    demo_kubectl exec --stdin client -- "$@"
  fi
}

sql() { in_client psql --no-psqlrc "$@"; }

query() {
  heading "SQL, as the manifest's user zalando, through the Service $MANIFEST, over TLS"
  start_client
  sql --quiet --echo-queries <<'SQL'
select current_user, current_database(), split_part(version(), ' ', 2) as version;
select version as tls, cipher from pg_stat_ssl where pid = pg_backend_pid();
create table writes (number int primary key, at timestamptz not null default clock_timestamp());
select datname as database, pg_get_userbyid(datdba) as owner from pg_database where datname = 'foo';
SQL
}

start_writer() {
  mkdir -p "$(dirname "$WRITER_LOG")"
  in_client rm -f "$STOP_FILE"
  in_client bash -s "$STOP_FILE" <tests/demo/writer.sh >"$WRITER_LOG" 2>&1 &
  WRITER=$!
  within 20 "the writer's first row" grep -q ok "$WRITER_LOG"
}

# stop_writer: it ends by itself once it is told; ending kubectl would leave it behind in the pod
stop_writer() {
  [ -n "$WRITER" ] || return 0
  in_client touch "$STOP_FILE" </dev/null
  wait "$WRITER" || true
  WRITER=
}

update() {
  local image=$NEXT_IMAGE
  heading "A new image, while a client writes: replicas first, one switchover, the old primary last"
  if [ -z "$image" ] && [ "$CLUSTER" = local ]; then image=localhost/spilo:2; fi
  if [ -z "$image" ]; then
    say "skipped: NEXT_IMAGE names no second image. Set it to one that this cluster can pull."
    return
  fi
  start_writer
  show patch postgresql "$MANIFEST" --type=merge --patch "{\"spec\": {\"dockerImage\": \"$image\"}}"
  follow 600 all_members_ready "$image"
  sleep 2 # a few rows after the last change
  stop_writer
  judge_writes
}

# judge_writes: what the client was promised against what is there
judge_writes() {
  local attempts acknowledged failed pause lost
  read -r attempts acknowledged failed pause < <(awk '
    { attempts++ }
    $3 == "failed" { failed++ }
    $3 == "ok" { ok++; if (last && $1 - last > pause) pause = $1 - last; last = $1 }
    END { printf "%d %d %d %.1f\n", attempts, ok, failed, pause }' "$WRITER_LOG")
  lost=$({
    echo "create temp table acknowledged (number int);"
    echo "copy acknowledged from stdin;"
    awk '$3 == "ok" {print $2}' "$WRITER_LOG"
    echo '\.'
    echo "select count(*) from acknowledged left join writes using (number) where at is null;"
  } | sql --quiet --no-align --tuples-only --set ON_ERROR_STOP=1)
  echo
  echo "  $attempts writes tried, $acknowledged acknowledged, $failed refused during the switchover (longest pause $pause s)"
  echo "  acknowledged and lost: $lost"
  [ "$lost" = 0 ] || fail "$lost acknowledged writes are lost"
}

try_next() {
  heading "Try next"
  if [ "$CLUSTER" = local ]; then echo "  export KUBECONFIG=$KUBECONFIG"; fi
  command -v kubectl >/dev/null && [ "$(command -v kubectl)" != "$BINARY_FOLDER/kubectl" ] || echo "  PATH=\$PATH:$BINARY_FOLDER"
  cat <<NEXT
  kubectl -n $DEMO_NAMESPACE get postgresql,pods,services,secrets
  kubectl -n $DEMO_NAMESPACE exec -it client -- psql                         # SQL as zalando
  kubectl -n $DEMO_NAMESPACE patch postgresql $MANIFEST --type=merge -p '{"spec": {"numberOfInstances": 3}}'
  kubectl -n $DEMO_NAMESPACE delete pod -l cluster-name=$MANIFEST,spilo-role=master  # and watch Patroni fail over
  kubectl -n $DEMO_NAMESPACE delete service $MANIFEST                        # it is back within seconds
  kubectl -n $DEMO_NAMESPACE get events --sort-by=.lastTimestamp | grep postgresql/
  kubectl -n $OPERATOR_NAMESPACE logs deployment/postgres-operator
  kubectl -n $DEMO_NAMESPACE delete postgresql $MANIFEST
  make test    # every test, on this cluster too
  make down    # removes all of it
NEXT
}

main() {
  local started
  started=$(milliseconds)
  cd "$REPOSITORY"
  use_cluster
  if [ "${1:-}" != --installed ]; then
    tests/demo/images.sh
    tests/demo/install.sh
  fi
  clear_namespace
  refuse
  if has_databases; then
    create
    query
    trap stop_writer EXIT
    update
  else
    show_objects
  fi
  try_next
  printf '\nThat took %s.\n' "$(seconds_since "$started")"
}

main "$@"
