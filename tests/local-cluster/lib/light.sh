# shellcheck shell=bash
# Light mode: a control plane and process nodes as ordinary processes of an ordinary user, on loopback addresses only. It
# needs no privilege at all and has no containers: see docs/local-cluster.md for what is real in it.

LIGHT_PROCESSES=(etcd apiserver controller-manager scheduler provisioner process-node)
PROGRAM_LIST=$STATE_FOLDER/programs/list # IMAGE=PATH, one a line: what `load-image` has unpacked

light_main() {
  local verb=$1
  [ $# -eq 0 ] || shift
  export KUBECACHEDIR=$STATE_FOLDER/kubectl-cache # nothing of it in the user's home
  case $verb in
    up) light_up ;;
    down) light_down "$@" ;;
    status) light_status ;;
    build) check_light_system && make_light_programs && say "everything that light mode needs is there" ;;
    load-image) light_load_images "$@" ;;
    service-image)
      [ $# -eq 3 ] || fail "service-image needs NAME BINARY OUT.tar"
      pack_service_image "$@"
      ;;
    kubeconfig) show_kubeconfig "$@" ;;
    exec)
      [ $# -gt 0 ] || fail "exec needs a command"
      exec "$@"
      ;;
    logs) show_logs "$@" ;;
    help | --help | -h) usage ;;
    *) fail "light mode has no verb '$verb'" "use the full mode (as root, LOCAL_CLUSTER_MODE=full), which has nodes of its own" ;;
  esac
}

# say_what_is_simulated: plainly, at each `up`. Nobody should take this for more than it is.
say_what_is_simulated() {
  say "light mode, without any privilege. Real: the API server with everything behind it, Patroni, PostgreSQL, our own programs."
  say "Not real: there are no containers. Databases are processes of this user on addresses $POD_NETWORK.x.y; other containers are"
  say "only marked as running (annotation process-node/simulated). Services have no backends, and there is no DNS: clients go"
  say "to the primary pod's address. Patroni keeps its state in ConfigMaps."
  local missing=()
  compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null || missing+=(postgresql)
  command -v patroni >/dev/null || missing+=(patroni)
  [ ${#missing[@]} -eq 0 ] || say "MISSING: ${missing[*]} (Debian packages of these names). Databases cannot run: only admission and objects can be seen."
  [ "$(id -u)" = 0 ] || id -un >/dev/null 2>&1 || say "MISSING: a name for user $(id -u) in /etc/passwd. PostgreSQL refuses to run without one."
}

check_light_system() {
  local program
  [ "$(uname -s)" = Linux ] || fail "this is $(uname -s): loopback addresses 127.x.y.z need Linux" "use a Linux machine, or KUBECONFIG with a cluster of another kind"
  for program in openssl:openssl python3:python3 setsid:util-linux setpriv:util-linux flock:util-linux; do
    command -v "${program%%:*}" >/dev/null || fail "${program%%:*} is missing" "it is in the Debian package ${program#*:}"
  done
  if [ -e "$STATE_FOLDER" ] && [ ! -O "$STATE_FOLDER" ]; then
    fail "the state folder $STATE_FOLDER belongs to another user" "choose another one with LOCAL_CLUSTER_STATE"
  fi
}

# make_light_programs: from the cache, or built; none of it needs a privilege either
make_light_programs() {
  # shellcheck disable=SC2034 # missing_binaries reads it
  BINARIES=(etcd kube-apiserver kube-controller-manager kube-scheduler)
  if [ -n "$(missing_binaries)" ]; then
    lock_cache
    make_binaries
    unlock_cache
  fi
  if [ -z "$PROCESS_NODE" ]; then
    command -v cargo >/dev/null || fail "cargo is missing: process nodes are a program of this project" "install Rust, or name a built one with LOCAL_CLUSTER_PROCESS_NODE"
    step "building process-node" build_process_node
    PROCESS_NODE=$(cat "$STATE_FOLDER/process-node-path")
  fi
  [ -x "$PROCESS_NODE" ] || fail "$PROCESS_NODE is no executable file" "set LOCAL_CLUSTER_PROCESS_NODE to a built process-node"
}

build_process_node() {
  cd "$PROJECT_FOLDER/../.." || return
  cargo build --package tests --bin process-node
  cargo build --quiet --package tests --bin process-node --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\/process-node\)".*/\1/p' | tail -n 1 >"$STATE_FOLDER/process-node-path"
  [ -s "$STATE_FOLDER/process-node-path" ]
}

# check_light_ports: now, rather than by the log of a process that has ended
check_light_ports() {
  local name port
  for name in "apiserver $API_PORT" "etcd $ETCD_PORT" "etcd $((ETCD_PORT + 1))"; do
    port=${name#* }
    is_running "${name% *}" && continue
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      fail "port $port of 127.0.0.1 is taken" "end what listens there, or choose another LOCAL_CLUSTER_PORT (etcd uses the two after it)"
    fi
  done
}

light_up() {
  local started
  started=$(milliseconds)
  check_light_system
  lock_cluster
  check_same_cluster
  make_light_programs
  say_what_is_simulated
  check_light_ports
  # never contacted: the API server only insists that it is no loopback address
  make_cluster_certificates 192.0.2.1
  (umask 077 && make_client process-node /O=system:masters/CN=process-node)
  API_SERVER_FLAGS+=(--endpoint-reconciler-type=none)
  # Endpoints take no loopback address: without these controllers Services have none, with them also a warning each time
  CONTROLLER_MANAGER_FLAGS+=(--secure-port=0 '--controllers=*,-endpoints-controller,-endpointslice-controller,-endpointslice-mirroring-controller')
  SCHEDULER_FLAGS+=(--secure-port=0)
  start_storage_and_api 127.0.0.1 192.0.2.1
  wait_for_api
  say "API server ready after $(seconds_since "$started")"
  start_controllers
  start_process_node
  start_storage
  wait_for_service_accounts
  wait_for_light_nodes
  say "$NODE_COUNT process nodes ready after $(seconds_since "$started"); kubeconfig: $ADMIN_KUBECONFIG"
}

start_process_node() {
  local name flags=()
  for name in $(node_names); do flags+=(--node "$name"); done
  mkdir -p "$STATE_FOLDER/scripts" "$STATE_FOLDER/pods" "$STATE_FOLDER/programs"
  # a copy, so that the user 'postgres' can read it wherever this project stands
  cp "$PROJECT_FOLDER"/images/spilo/{configure.py,archives.py,post_init.sh,clone.sh,basebackup.sh} "$STATE_FOLDER/scripts/"
  touch "$PROGRAM_LIST"
  KUBECONFIG=$KUBECONFIG_FOLDER/process-node start_process process-node "$PROCESS_NODE" "${flags[@]}" \
    --state "$STATE_FOLDER" --network "$POD_NETWORK" --programs "$PROGRAM_LIST"
}

light_node_is_ready() {
  [ "$(kube get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]
}

wait_for_light_nodes() {
  local name started
  started=$(milliseconds)
  for name in $(node_names); do
    until light_node_is_ready "$name"; do
      is_running process-node || { tail -n 10 "$LOG_FOLDER/process-node.log" >&2; fail "process-node has ended" "its log above says why"; }
      (($(milliseconds) - started < READY_SECONDS * 1000)) || fail "node $name is not Ready after $READY_SECONDS s" "see $LOG_FOLDER/process-node.log"
      sleep 0.1
    done
  done
}

light_down() {
  local started
  started=$(milliseconds)
  case ${1:-} in '' | --purge) ;; *) fail "down knows no '$1'" "down, or down --purge" ;; esac
  lock_cluster
  stop_process process-node 60 # it ends every database properly; the time is for those that are slow to write
  stop_process provisioner 2
  stop_control_plane
  end_what_works_in "$STATE_FOLDER"
  rm -rf "$PID_FOLDER"
  if [ "${1:-}" = --purge ]; then
    rm -rf "$STATE_FOLDER"
    rm -f "$CACHE_FOLDER/locks/cluster-$CLUSTER_NAME"
    rmdir "$CACHE_FOLDER/state" 2>/dev/null || true
  fi
  say "cluster $CLUSTER_NAME is down after $(seconds_since "$started")"
}

# end_what_works_in FOLDER: what a process-node that was killed may have left: processes whose working directory is in
# the folder, as PostgreSQL's and Patroni's are.
end_what_works_in() {
  local link pid
  for link in /proc/[0-9]*/cwd; do
    case $(readlink "$link" 2>/dev/null) in
      "$1"/*)
        pid=${link#/proc/}
        kill -KILL "${pid%/cwd}" 2>/dev/null || true
        ;;
    esac
  done
}

light_status() {
  local name complete=0
  echo "light mode: no containers, no privilege"
  for name in "${LIGHT_PROCESSES[@]}"; do state_line "$name" "$name" || complete=1; done
  if is_running apiserver; then
    kube get nodes -o wide || complete=1
    for name in $(node_names); do light_node_is_ready "$name" || complete=1; done
    echo "kubeconfig: $ADMIN_KUBECONFIG"
  fi
  return "$complete"
}

# light_load_images ARCHIVE...: from images of `service-image` only the program is kept, and run as it is.
light_load_images() {
  local archive
  [ $# -gt 0 ] || fail "load-image needs an archive"
  mkdir -p "$STATE_FOLDER/programs"
  for archive in "$@"; do
    python3 "$LIBRARY_FOLDER/unpack_program.py" "$archive" "$PROGRAM_LIST" ||
      fail "$archive is no image of one static program" "light mode has no containers: only images of 'service-image' can be used"
  done
}
