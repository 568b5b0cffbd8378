#!/bin/bash
# test.sh [TEST...]: checks the local cluster for real. A cluster that is up is used and stays up; otherwise one is made,
# and afterwards `down` is checked too. The settings are the cluster's own, see `local-cluster help`. The last line is
# the result: "N passed, N failed".
# shellcheck disable=SC2317 # tests are called by their names
set -euo pipefail

PROJECT_FOLDER=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LIBRARY_FOLDER=$PROJECT_FOLDER/lib
for file in messages settings binaries processes; do
  # shellcheck source=/dev/null
  source "$LIBRARY_FOLDER/$file.sh"
done
LOCAL_CLUSTER=$PROJECT_FOLDER/local-cluster
NAMESPACE=local-cluster-test
DATABASE=demo # name of the Patroni clusters
RESULT_FOLDER=$(mktemp -d)
TESTS=(
  nodes_are_ready up_again_leaves_every_process_running cron_job_is_started dns_from_the_hub pods_run logs_exec_and_port_forward dns_from_a_pod
  service_from_the_hub volume_is_made_and_expanded webhook_is_called service_image_runs every_postgres_version_works
  patroni_on_endpoints pooler_works clone_by_base_backup standby_cluster_by_host patroni_on_configmaps image_change
  major_upgrade audit_log_tells_who_asked cron_job_has_run volumes_are_removed node_drains node_stops_and_starts
)

test_kube() { kube --namespace "$NAMESPACE" "$@"; }

# within SECONDS COMMAND...: until it succeeds; after the time its output and a failure
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
    sleep 0.3
  done
  echo "after $(seconds_since "$started"): $*"
}

equals() { [ "$1" = "$2" ] || { echo "expected '$2', got '$1'"; return 1; }; }

# note TEXT: shown beside the result
note() { echo "$*" >>"$RESULT_FOLDER/note"; }

# manifest FILE [SED...]: with the names filled in
manifest() {
  local file=$PROJECT_FOLDER/manifests/$1
  shift
  sed -e "s/CLUSTER/$DATABASE/g" -e "s#SPILO_IMAGE#${SPILO_IMAGES[0]}#" -e "s#POOLER_IMAGE#${POOLER_IMAGES[0]}#" "$@" "$file"
}

apply() { test_kube apply --filename - 2>&1; }

# sql HOST STATEMENT [OPTION...]: from this machine, inside the cluster's network, over TLS
sql() {
  local host=$1 statement=$2
  shift 2
  PGCONNECT_TIMEOUT=3 PGPASSWORD=super-secret "$LOCAL_CLUSTER" exec psql -XAtq -v ON_ERROR_STOP=1 \
    "host=$host.$NAMESPACE.svc.cluster.local user=postgres dbname=postgres sslmode=require $*" -c "$statement"
}

query_equals() { equals "$(sql "$1" "$2")" "$3"; }
leader() { test_kube get pod --selector "cluster-name=$1,spilo-role=master" --output 'jsonpath={.items[*].metadata.name}'; }
ready_members() { test_kube get statefulset "$1" --output 'jsonpath={.status.readyReplicas}'; }
members_are_ready() { equals "$(ready_members "$1")" "$2"; }
claim_capacity_is() { equals "$(test_kube get pvc tools --output 'jsonpath={.status.capacity.storage}')" "$1"; }

test_nodes_are_ready() {
  local name
  "$LOCAL_CLUSTER" status
  for name in $(node_names); do
    equals "$(kube get node "$name" --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" True
    equals "$(kube get node "$name" --output 'jsonpath={.spec.taints}')" ''
  done
}

processes() { "$LOCAL_CLUSTER" status | grep 'running, pid'; }

test_up_again_leaves_every_process_running() {
  local started before
  before=$(processes)
  started=$(milliseconds)
  "$LOCAL_CLUSTER" up
  note "$(seconds_since "$started")"
  sleep 3 # what ends because of it does not end at once
  equals "$(processes)" "$before"
}

test_cron_job_is_started() { manifest cronjob.yaml | apply; }

test_cron_job_has_run() {
  within 90 test_kube wait --for=condition=Complete job --all --timeout=1s
  [ -n "$(test_kube get job --output name)" ]
}

test_dns_from_the_hub() {
  equals "$("$LOCAL_CLUSTER" exec getent ahostsv4 kubernetes.default.svc.cluster.local | awk 'NR == 1 {print $1}')" "$SERVICE_NETWORK.0.1"
}

test_pods_run() {
  manifest tools.yaml | apply
  test_kube wait --for=condition=Ready pod/tools --timeout=60s
}

test_logs_exec_and_port_forward() {
  local forward
  test_kube logs tools | grep 'ready to serve'
  equals "$(test_kube exec tools -- cat /volume/index.html)" served
  test_kube port-forward pod/tools 18080:8080 &
  forward=$!
  # shellcheck disable=SC2064 # these processes, and this subshell's end: the function runs in a shell of its own
  trap "kill \$(ps -o pid= --ppid $forward) $forward" EXIT
  within 10 curl --silent --fail http://127.0.0.1:18080/
}

test_dns_from_a_pod() {
  test_kube exec tools -- getent ahostsv4 kubernetes.default | grep "^$SERVICE_NETWORK.0.1 "
  within 10 test_kube exec tools -- curl --silent --fail "http://tools.$NAMESPACE.svc/" # and back to itself
}

test_service_from_the_hub() {
  within 10 "$LOCAL_CLUSTER" exec curl --silent --fail "http://tools.$NAMESPACE.svc/"
}

test_volume_is_made_and_expanded() {
  claim_capacity_is 1Gi
  test_kube patch pvc tools --patch '{"spec": {"resources": {"requests": {"storage": "2Gi"}}}}'
  within 10 claim_capacity_is 2Gi
  test_kube get events --field-selector reason=FileSystemResizeSuccessful | grep tools
}

# The API server itself calls the Service: nothing listens with TLS there, and its error says that it has reached it.
test_webhook_is_called() {
  kube apply --filename - <<WEBHOOK
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: $NAMESPACE}
webhooks:
- name: refuse.local-cluster.test
  clientConfig: {service: {namespace: $NAMESPACE, name: tools, path: /, port: 80}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: $NAMESPACE}}
  admissionReviewVersions: [v1]
  sideEffects: None
WEBHOOK
  within 10 refused_by_webhook
  kube delete validatingwebhookconfiguration "$NAMESPACE"
}

refused_by_webhook() {
  local answer
  answer=$(test_kube create configmap refused --dry-run=server 2>&1) && return 1
  echo "$answer"
  grep -q 'server gave HTTP response to HTTPS client' <<<"$answer"
}

test_service_image_runs() {
  local image=localhost/local-cluster-test:1
  "$LOCAL_CLUSTER" service-image "$image" "$BINARY_FOLDER/coredns" "$RESULT_FOLDER/service.tar"
  "$LOCAL_CLUSTER" load-image "$RESULT_FOLDER/service.tar"
  test_kube run service --image "$image" --restart Never --image-pull-policy Never -- -version
  within 30 test_kube wait --for=jsonpath='{.status.phase}'=Succeeded pod/service --timeout=1s
  test_kube logs service | grep CoreDNS
  test_kube delete pod service
}

test_every_postgres_version_works() {
  local versions version
  versions=$(test_kube exec tools -- ls /usr/lib/postgresql | paste -sd' ')
  note "$versions"
  for version in $versions; do
    test_kube exec tools -- su postgres -c "
      set -e
      PATH=/usr/lib/postgresql/$version/bin:\$PATH
      initdb -D /tmp/$version --auth trust >/dev/null
      pg_ctl -D /tmp/$version -w -o '-k /tmp -c listen_addresses=' -l /tmp/$version.log start >/dev/null
      psql -XAt -h /tmp -d postgres -c 'show server_version' | grep '^$version'
      pg_ctl -D /tmp/$version -m fast -w stop >/dev/null"
  done
}

# start_patroni USE_CONFIGMAPS [SED...]: two members, and how long they took
start_patroni() {
  local started mode=endpoints
  [ "$1" != true ] || mode=configmaps
  started=$(milliseconds)
  manifest patroni.yaml -e "s/USE_CONFIGMAPS\"/$1\"/" "${@:2}" | apply
  manifest "service-$mode.yaml" | apply
  within 90 query_equals "$DATABASE" 'select pg_is_in_recovery()' f
  note "SQL after $(seconds_since "$started")"
  within 90 members_are_ready "$DATABASE" 2
  note "both members ready after $(seconds_since "$started")"
  within 20 query_equals "$DATABASE-repl" 'select pg_is_in_recovery()' t
}

# fail_over: the leader's pod is deleted; a write through the Service must soon succeed on the other member
fail_over() {
  local started old
  old=$(leader "$DATABASE")
  sql "$DATABASE" 'create table if not exists survivor (number int); insert into survivor values (1)'
  started=$(milliseconds)
  test_kube delete pod "$old" --wait=false
  within 40 query_equals "$DATABASE" "select (timeline_id > 1)::text || count(*) from pg_control_checkpoint(), survivor group by timeline_id" true1
  within 10 sql "$DATABASE" 'insert into survivor values (2)'
  note "failover after $(seconds_since "$started")"
  [ "$(leader "$DATABASE")" != "$old" ]
  within 60 members_are_ready "$DATABASE" 2
}

remove_patroni() {
  test_kube delete statefulset,service,poddisruptionbudget --selector "cluster-name=$1"
  test_kube wait --for=delete pod --selector "cluster-name=$1" --timeout=60s
  test_kube delete pvc,endpoints,configmap --selector "cluster-name=$1" # Patroni would write its state again
}

test_patroni_on_endpoints() {
  start_patroni false
  if sql "$DATABASE" 'select 1' sslmode=disable; then return 1; fi
  equals "$(sql "$DATABASE" 'show work_mem')/$(sql "$DATABASE" 'show max_connections')" 5MB/50
  fail_over
}

test_pooler_works() {
  sql "$DATABASE" "create role pooler login password 'pooler-secret'; create schema pooler authorization pooler"
  sql "$DATABASE" "create function pooler.user_lookup(in i_username text, out uname text, out phash text) returns record
    language sql security definer as 'select usename::text, passwd from pg_catalog.pg_shadow where usename = i_username'"
  sql "$DATABASE" "set password_encryption = md5; create role application login password 'super-secret'"
  manifest pooler.yaml | apply
  test_kube wait --for=condition=Available "deployment/$DATABASE-pooler" --timeout=60s
  within 10 sql "$DATABASE-pooler" 'select current_user' user=application
  test_kube delete deployment,service "$DATABASE-pooler"
}

# A second cluster beside the first, named copy; its variables are put where PGVERSION is.
start_copy() {
  local variables=$1
  DATABASE=copy manifest patroni.yaml -e 's/replicas: 2/replicas: 1/' -e "s/USE_CONFIGMAPS\"/true\"/" \
    -e "s|^\( *\)- {name: PGVERSION.*|&\n$variables|" | apply
  DATABASE=copy manifest service-configmaps.yaml | apply
}

test_clone_by_base_backup() {
  local place='        - '
  start_copy "$place{name: CLONE_SCOPE, value: demo}\n$place{name: CLONE_METHOD, value: CLONE_WITH_BASEBACKUP}\n$place{name: CLONE_HOST, value: demo}\n$place{name: CLONE_USER, value: standby}\n$place{name: CLONE_PASSWORD, value: standby-secret}"
  within 90 query_equals copy 'select count(*) from survivor where not pg_is_in_recovery()' 2
  remove_patroni copy
}

test_standby_cluster_by_host() {
  start_copy '        - {name: STANDBY_HOST, value: demo}\n        - {name: STANDBY_PORT, value: "5432"}'
  within 90 query_equals copy 'select count(*) from survivor where pg_is_in_recovery()' 2
  remove_patroni copy
  remove_patroni "$DATABASE"
}

test_patroni_on_configmaps() {
  start_patroni true -e 's/PGVERSION, value: "17"/PGVERSION, value: "15"/'
  test_kube get configmap "$DATABASE-leader" "$DATABASE-config"
  fail_over
}

test_image_change() {
  [ ${#SPILO_IMAGES[@]} -gt 1 ] || { note "one image name only"; return; }
  test_kube set image "statefulset/$DATABASE" "postgres=${SPILO_IMAGES[1]}"
  replace_member "$DATABASE-0"
  replace_member "$DATABASE-1"
  within 40 query_equals "$DATABASE" 'select count(*) from survivor' 2
  equals "$(test_kube get pod "$DATABASE-0" --output 'jsonpath={.spec.containers[0].image}')" "${SPILO_IMAGES[1]}"
}

# replace_member POD: delete it and wait for its successor
replace_member() {
  test_kube delete pod "$1"
  within 60 members_are_ready "$DATABASE" 2
  within 30 test_kube wait --for=condition=Ready "pod/$1" --timeout=1s
}

test_major_upgrade() {
  local name
  test_kube set env "statefulset/$DATABASE" PGVERSION=17
  replace_member "$DATABASE-0"
  replace_member "$DATABASE-1"
  query_equals "$DATABASE" "select split_part(current_setting('server_version'), '.', 1)" 15
  test_kube exec "$(leader "$DATABASE")" -- su postgres -c 'python3 /scripts/inplace_upgrade.py 2'
  within 60 query_equals "$DATABASE" "select split_part(current_setting('server_version'), '.', 1) || count(*) from survivor" 172
  for name in "$DATABASE-0" "$DATABASE-1"; do
    within 60 test_kube exec "$name" -- su postgres -c "psql -XAtc 'show server_version' | grep ^17"
  done
  remove_patroni "$DATABASE"
}

test_node_drains() {
  local node
  node=$(node_name 2)
  test_kube create deployment movable --image "${SPILO_IMAGES[0]}" --replicas 4 -- sleep infinity
  test_kube wait --for=condition=Available deployment/movable --timeout=60s
  kube drain "$node" --ignore-daemonsets --delete-emptydir-data --force --grace-period 1 --timeout 60s \
    --pod-selector app=movable
  equals "$(test_kube get pod --selector app=movable --field-selector "spec.nodeName=$node,status.phase=Running" --output name)" ''
  kube uncordon "$node"
  test_kube wait --for=condition=Available deployment/movable --timeout=60s
  kube taint node "$(node_name 1)" local-cluster/test=true:NoExecute
  within 60 all_movable_on "$node"
  kube taint node "$(node_name 1)" local-cluster/test-
  test_kube delete deployment movable
}

all_movable_on() {
  equals "$(test_kube get pod --selector app=movable --field-selector status.phase=Running --output 'jsonpath={.items[*].spec.nodeName}')" "$1 $1 $1 $1"
}

test_node_stops_and_starts() {
  local node started
  node=$(node_name 2)
  "$LOCAL_CLUSTER" node-stop "$node"
  if "$LOCAL_CLUSTER" status >/dev/null 2>&1; then return 1; fi
  started=$(milliseconds)
  "$LOCAL_CLUSTER" node-start "$node"
  note "$(seconds_since "$started")"
  "$LOCAL_CLUSTER" node "$node" hostname | grep -x "$node"
  "$LOCAL_CLUSTER" status
}

test_audit_log_tells_who_asked() {
  test_kube get configmap asked-for-by-a-test || true
  within 5 grep -q '"username":"admin".*"resource":"configmaps".*"name":"asked-for-by-a-test"' "$LOG_FOLDER/audit.log"
}

test_volumes_are_removed() {
  test_kube delete statefulset --all # what a failed test left
  test_kube delete pod tools
  test_kube delete pvc --all --timeout=60s
  within 20 no_volume_folder
}

no_volume_folder() { ! compgen -G "$STATE_FOLDER/volumes/$NAMESPACE-*"; }

# What `down` must not leave: looked for in the kernel's own lists, not in ours.
test_down_leaves_nothing() {
  local file
  "$LOCAL_CLUSTER" down --purge
  if ip netns list | grep "^$CLUSTER_NAME\b"; then return 1; fi
  if grep "$STATE_FOLDER/" /proc/mounts; then return 1; fi
  if find /sys/fs/cgroup -maxdepth 2 -name "$CLUSTER_NAME" | grep .; then return 1; fi
  for file in /proc/[0-9]*/cmdline; do
    if tr '\0' ' ' <"$file" 2>/dev/null | grep "$STATE_FOLDER/"; then return 1; fi
  done
  [ ! -e "$STATE_FOLDER" ] && [ ! -e "/etc/netns/$CLUSTER_NAME" ]
}

PASSED=0 FAILED=0

# run NAME: one test, in a subshell of its own. (Not with `||`: that would switch off `errexit` inside.)
run() {
  local started status
  started=$(milliseconds)
  : >"$RESULT_FOLDER/note"
  set +e
  (set -e; "test_$1") >"$RESULT_FOLDER/output" 2>&1 </dev/null
  status=$?
  set -e
  if ((status == 0)); then
    PASSED=$((PASSED + 1))
    say "ok      ${1//_/ } ($(seconds_since "$started"))$(sed 's/^/; /' "$RESULT_FOLDER/note" | tr -d '\n')"
  else
    FAILED=$((FAILED + 1))
    say "FAILED  ${1//_/ } ($(seconds_since "$started"))"
    sed 's/^/        /' "$RESULT_FOLDER/output" >&2
  fi
}

main() {
  local fresh='' name
  "$LOCAL_CLUSTER" status >/dev/null 2>&1 || fresh=yes
  "$LOCAL_CLUSTER" up
  kube delete namespace "$NAMESPACE" --ignore-not-found
  kube create namespace "$NAMESPACE" >/dev/null
  [ $# -gt 0 ] || set -- "${TESTS[@]}"
  for name in "$@"; do run "$name"; done
  kube delete namespace "$NAMESPACE" --wait=false >/dev/null
  kube delete clusterrole local-cluster-test-postgres-pod --ignore-not-found >/dev/null
  [ -z "$fresh" ] || run down_leaves_nothing
  rm -rf "$RESULT_FOLDER"
  echo "$PASSED passed, $FAILED failed"
  ((FAILED == 0))
}

main "$@"
exit
