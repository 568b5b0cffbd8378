#!/bin/bash
# test-light.sh: checks the light mode for real, in a cluster of its own, as a user without any privilege: who is root
# runs it as `nobody` with a home of its own. The last line is the result: "N passed, N failed, N skipped".
# shellcheck disable=SC2317 # tests are called by their names
set -euo pipefail

PROJECT_FOLDER=$(cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")" && pwd)

# become_nobody: the programs of the cache are linked into nobody's home, never given away
become_nobody() {
  local home cache name
  home=$(mktemp -d /var/tmp/light-test.XXXXXX)
  cache=${LOCAL_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postgres-operator-local-cluster}/bin
  mkdir -p "$home/.cache/postgres-operator-local-cluster/bin" "$home/bin"
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubectl; do
    [ ! -x "$cache/$name" ] || ln "$cache/$name" "$home/.cache/postgres-operator-local-cluster/bin/" 2>/dev/null ||
      cp "$cache/$name" "$home/.cache/postgres-operator-local-cluster/bin/"
  done
  if [ -z "${LOCAL_CLUSTER_PROCESS_NODE:-}" ]; then
    (cd "$PROJECT_FOLDER" && cargo build --package tests --bin process-node)
    LOCAL_CLUSTER_PROCESS_NODE=$(cd "$PROJECT_FOLDER" && cargo build --quiet --package tests --bin process-node --message-format=json |
      sed -n 's/.*"executable":"\([^"]*\/process-node\)".*/\1/p' | tail -n 1)
  fi
  cp "$LOCAL_CLUSTER_PROCESS_NODE" "$home/bin/process-node"
  cp -r "$PROJECT_FOLDER" "$home/local-cluster" # wherever the project is, nobody can read this
  find "$home" -type d -exec chown nobody {} +
  cd "$home"
  setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$home" \
    LOCAL_CLUSTER_PROCESS_NODE="$home/bin/process-node" "$home/local-cluster/test-light.sh" "$@" || status=$?
  rm -rf "$home"
  exit "${status:-0}"
}
[ "$(id -u)" != 0 ] || become_nobody "$@"

unset KUBECONFIG
export LOCAL_CLUSTER_MODE=light LOCAL_CLUSTER_NAME=${LOCAL_CLUSTER_NAME:-lighttest} LOCAL_CLUSTER_PORT=${LOCAL_CLUSTER_PORT:-7643}
export LOCAL_CLUSTER_POD_NETWORK=${LOCAL_CLUSTER_POD_NETWORK:-127.65}
LIBRARY_FOLDER=$PROJECT_FOLDER/lib
for file in messages settings binaries processes; do
  # shellcheck source=/dev/null
  source "$LIBRARY_FOLDER/$file.sh"
done
export KUBECACHEDIR=$STATE_FOLDER/kubectl-cache
LOCAL_CLUSTER=$PROJECT_FOLDER/local-cluster
RESULT_FOLDER=$(mktemp -d)
DATABASE_TESTS=(leader_is_elected replica_streams failover_after_a_deletion volume_grows killed_node_comes_back down_and_up_keeps_data)
TESTS=(up_and_up_again missing_secret_is_named simulated_pods_say_so "${DATABASE_TESTS[@]}" nothing_stays_of_a_cluster down_leaves_nothing)

test_kube() { kube --namespace demo "$@"; }

# within SECONDS COMMAND...: until it succeeds
within() {
  local seconds=$1 started
  shift
  started=$(milliseconds)
  until "$@" >"$RESULT_FOLDER/within" 2>&1; do
    if (($(milliseconds) - started > seconds * 1000)); then
      cat "$RESULT_FOLDER/within"
      echo "not within $seconds s: $*"
      return 1
    fi
    sleep 0.2
  done
  echo "after $(seconds_since "$started"): $*"
}

note() { echo "$*" >>"$RESULT_FOLDER/note"; }
equals() { [ "$1" = "$2" ] || { echo "expected '$2', got '$1'"; return 1; }; }
contains() { case $1 in *"$2"*) ;; *) echo "'$2' is not in '$1'"; return 1 ;; esac; }

leader() { test_kube get pod --selector cluster-name=demo,spilo-role=master --output 'jsonpath={.items[*].metadata.name}'; }
address() { test_kube get pod "$1" --output 'jsonpath={.status.podIP}'; }
ready_members() { test_kube get statefulset demo --output 'jsonpath={.status.readyReplicas}'; }
members_are_ready() { equals "$(ready_members)" "$1"; }
# sql POD STATEMENT: at the pod's own address, over TLS
sql() {
  PGCONNECT_TIMEOUT=3 PGPASSWORD=super-secret psql -XAtq -v ON_ERROR_STOP=1 \
    "host=$(address "$1") user=postgres dbname=postgres sslmode=require" -c "$2"
}
write() { sql "$(leader)" "INSERT INTO kept VALUES ($1)"; }
kept_is() { equals "$(sql "$1" 'SELECT string_agg(number::text, $$,$$ ORDER BY number) FROM kept')" "$2"; }

test_up_and_up_again() {
  local started
  started=$(milliseconds)
  "$LOCAL_CLUSTER" up
  note "up: $(seconds_since "$started")"
  started=$(milliseconds)
  "$LOCAL_CLUSTER" up
  note "again: $(seconds_since "$started")"
  "$LOCAL_CLUSTER" status
  equals "$(kube get nodes --output 'jsonpath={.items[*].metadata.name}')" "$(node_names | paste -sd' ')"
  kube create namespace demo
}

test_missing_secret_is_named() {
  sed -e 's/CLUSTER/demo/g' -e 's#SPILO_IMAGE#localhost/spilo:1#' "$PROJECT_FOLDER"/manifests/{patroni,service-configmaps}.yaml >"$RESULT_FOLDER/manifest"
  test_kube apply --filename "$RESULT_FOLDER/manifest"
  test_kube delete secret standby.demo.credentials
  within 20 waits_for 'standby.demo.credentials'
  test_kube apply --filename "$RESULT_FOLDER/manifest"
}

waits_for() {
  contains "$(test_kube get pod demo-0 --output 'jsonpath={.status.containerStatuses[0].state.waiting.message}') $(test_kube get events)" "$1"
}

test_simulated_pods_say_so() {
  test_kube run other --image localhost/other:1
  test_kube wait pod other --for condition=Ready --timeout 20s
  equals "$(test_kube get pod other --output 'jsonpath={.metadata.annotations.process-node/simulated}')" true
  contains "$(test_kube get events)" 'there are no containers here'
  test_kube delete pod other --timeout 20s
}

test_leader_is_elected() {
  local started
  started=$(milliseconds)
  within 90 sql demo-0 'CREATE TABLE kept (number int)'
  note "SQL: $(seconds_since "$started")"
  within 20 write 1 # its label comes a moment later
  equals "$(leader)" demo-0
  contains "$(address demo-0)" "$POD_NETWORK."
}

test_replica_streams() {
  within 90 members_are_ready 2
  within 30 kept_is demo-1 1
  within 30 replicas_are 'demo-1|streaming'
}

replicas_are() { equals "$(sql demo-0 'SELECT application_name, state FROM pg_stat_replication')" "$1"; }

test_failover_after_a_deletion() {
  local started before
  before=$(address demo-0)
  started=$(milliseconds)
  test_kube delete pod demo-0 --wait=false
  within 60 sql demo-1 'INSERT INTO kept VALUES (2)'
  note "write at the new primary: $(seconds_since "$started")"
  within 60 equals "$(leader)" demo-1
  within 60 kept_is demo-0 1,2
  note "old one streams again: $(seconds_since "$started")"
  equals "$(address demo-0)" "$before"
}

test_volume_grows() {
  test_kube patch pvc pgdata-demo-0 --patch '{"spec": {"resources": {"requests": {"storage": "2Gi"}}}}'
  within 10 capacity_is 2Gi
}

capacity_is() { equals "$(test_kube get pvc pgdata-demo-0 --output 'jsonpath={.status.capacity.storage}')" "$1"; }

# A process node that is killed leaves its databases; the next one ends them and starts its own.
test_killed_node_comes_back() {
  signal_process process-node KILL
  wait_for_end process-node 5
  "$LOCAL_CLUSTER" up
  within 90 write 3
  within 90 members_are_ready 2
}

test_down_and_up_keeps_data() {
  "$LOCAL_CLUSTER" down
  equals "$(left_processes)" ''
  "$LOCAL_CLUSTER" up
  within 90 write 4
  within 90 kept_is demo-0 1,2,3,4
  within 90 kept_is demo-1 1,2,3,4
}

test_nothing_stays_of_a_cluster() {
  test_kube delete --filename "$RESULT_FOLDER/manifest" --timeout 60s
  test_kube delete pvc --all --timeout 60s
  within 60 equals "$(test_kube get pods --output name)" ''
  within 30 no_folders
  equals "$(database_processes)" ''
}

no_folders() { equals "$(find "$STATE_FOLDER"/{volumes,pods,sockets} -mindepth 1 -maxdepth 1)" ''; }
processes_in() { readlink /proc/[0-9]*/cwd 2>/dev/null | grep "^$1/" || true; }
database_processes() { processes_in "$STATE_FOLDER"; }

# left_processes: of this cluster, by what they were started with
left_processes() {
  local file
  database_processes
  for file in /proc/[0-9]*/cmdline; do
    { tr '\0' ' ' <"$file" | grep --fixed-strings -- "$STATE_FOLDER/"; } 2>/dev/null || true
  done
}

test_down_leaves_nothing() {
  local started
  started=$(milliseconds)
  "$LOCAL_CLUSTER" down --purge
  note "down: $(seconds_since "$started")"
  equals "$(left_processes)" ''
  [ ! -e "$STATE_FOLDER" ] || { echo "$STATE_FOLDER is still there"; return 1; }
}

# why_no_database: nothing where databases can run
why_no_database() {
  compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || echo 'PostgreSQL is not installed (Debian package postgresql)'
  command -v patroni >/dev/null || echo 'Patroni is not installed (Debian package patroni)'
  command -v psql >/dev/null || echo 'psql is not installed (Debian package postgresql-client)'
}

run_tests() {
  local name started status passed=0 failed=0 skipped=0 lacking
  lacking=$(why_no_database | paste -sd,)
  for name in "$@"; do
    if [ -n "$lacking" ] && [[ " ${DATABASE_TESTS[*]} " == *" $name "* ]]; then
      echo "SKIP $name: $lacking"
      skipped=$((skipped + 1))
      continue
    fi
    started=$(milliseconds)
    rm -f "$RESULT_FOLDER/note"
    # not as a condition, which would switch off `errexit` in the test
    set +e
    (set -e; "test_$name") >"$RESULT_FOLDER/output" 2>&1
    status=$?
    set -e
    if [ "$status" = 0 ]; then
      echo "ok   $name ($(seconds_since "$started")$(sed 's/^/; /' "$RESULT_FOLDER/note" 2>/dev/null | paste -sd' '))"
      passed=$((passed + 1))
    else
      echo "FAIL $name ($(seconds_since "$started"))"
      sed 's/^/     /' "$RESULT_FOLDER/output"
      failed=$((failed + 1))
    fi
  done
  "$LOCAL_CLUSTER" down --purge >/dev/null 2>&1 || true
  rm -rf "$RESULT_FOLDER"
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" = 0 ]
}

if [ $# -gt 0 ]; then run_tests "$@"; else run_tests "${TESTS[@]}"; fi
