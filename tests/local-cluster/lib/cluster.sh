# shellcheck shell=bash
# The verbs on the whole cluster.

HUB_PROCESSES=(port etcd apiserver controller-manager scheduler dns hub-proxy provisioner)

cluster_build() {
  local started
  started=$(milliseconds)
  check_system
  make_everything
  say "everything is built in $CACHE_FOLDER, after $(seconds_since "$started")"
}

make_everything() {
  lock_cache
  install_packages
  make_binaries
  make_images
  unlock_cache
}

# check_same_cluster: state that was made with other settings does not fit; better now than with strange errors later
check_same_cluster() {
  local file=$STATE_FOLDER/settings now
  now="port $API_PORT, nodes $NODE_NETWORK, pods $POD_NETWORK, services $SERVICE_NETWORK"
  mkdir -p "$STATE_FOLDER"
  [ -f "$file" ] || echo "$now" >"$file"
  [ "$(cat "$file")" = "$now" ] || fail "cluster $CLUSTER_NAME was made with other settings ($(cat "$file")) than these ($now)" \
    "use those again, or remove it with 'local-cluster down --purge', or give the new one another LOCAL_CLUSTER_NAME"
}

cluster_up() {
  local started index
  started=$(milliseconds)
  check_system
  lock_cluster
  check_same_cluster
  make_everything
  say "starting cluster $CLUSTER_NAME ..."
  make_cluster_certificates "$HUB_ADDRESS"
  make_network
  start_port
  start_storage_and_api 0.0.0.0 "$HUB_ADDRESS" "${HUB_PREFIX[@]}"
  wait_for_api
  say "API server ready after $(seconds_since "$started")"
  start_controllers "${HUB_PREFIX[@]}"
  for ((index = 1; index <= NODE_COUNT; index++)); do start_node "$index"; done
  start_dns
  start_hub_proxy
  start_storage
  wait_for_service_accounts
  for ((index = 1; index <= NODE_COUNT; index++)); do wait_for_node "$(node_name "$index")"; done
  refresh_images
  say "$NODE_COUNT nodes ready after $(seconds_since "$started"); kubeconfig: $ADMIN_KUBECONFIG"
}

cluster_down() {
  local started name
  started=$(milliseconds)
  check_system
  case ${1:-} in '' | --purge) ;; *) fail "down knows no '$1'" "down, or down --purge" ;; esac
  lock_cluster
  for name in $(running_nodes); do stop_node "$name"; done
  for name in provisioner hub-proxy dns port; do stop_process "$name" 2; done
  stop_control_plane
  remove_network
  remove_cgroups "$CLUSTER_NAME"
  rm -rf "$PID_FOLDER"
  if [ "${1:-}" = --purge ]; then
    rm -rf "$STATE_FOLDER"
    rmdir "$CACHE_FOLDER/state" 2>/dev/null || true
  fi
  say "cluster $CLUSTER_NAME is down after $(seconds_since "$started")"
}

# state_line NAME PROCESS: prints it, and fails where it does not run
state_line() {
  local pid
  if pid=$(running_pid "$2"); then printf '%-20s running, pid %s\n' "$1" "$pid"; else
    printf '%-20s not running\n' "$1"
    return 1
  fi
}

cluster_status() {
  local name complete=0
  for name in "${HUB_PROCESSES[@]}"; do state_line "$name" "$name" || complete=1; done
  for name in $(node_names); do
    state_line "$name" "node-$name" || complete=1
  done
  if is_running apiserver; then
    kube get nodes -o wide || complete=1
    for name in $(node_names); do node_is_ready "$name" || complete=1; done
    echo "kubeconfig: $ADMIN_KUBECONFIG"
  fi
  return "$complete"
}

load_images() {
  local archive started
  [ $# -gt 0 ] || fail "load-image needs an archive"
  check_system
  for archive in "$@"; do
    started=$(milliseconds)
    import_everywhere "$archive" >/dev/null
    say "$archive: in all running nodes after $(seconds_since "$started")"
  done
}

show_kubeconfig() {
  [ -f "$ADMIN_KUBECONFIG" ] || fail "cluster $CLUSTER_NAME has never been up" "local-cluster up"
  if [ "${1:-}" = --print ]; then cat "$ADMIN_KUBECONFIG"; else echo "$ADMIN_KUBECONFIG"; fi
}

exec_in_hub() {
  [ $# -gt 0 ] || fail "exec needs a command"
  check_system
  [ -e "/run/netns/$HUB_NAMESPACE" ] || fail "cluster $CLUSTER_NAME is not up" "local-cluster up"
  exec ip netns exec "$HUB_NAMESPACE" "$@"
}

one_node_stop() {
  local started
  started=$(milliseconds)
  node_index "${1:-}" >/dev/null
  lock_cluster
  stop_node "$1"
  say "node $1 is gone after $(seconds_since "$started")"
}

one_node_start() {
  local started index
  started=$(milliseconds)
  index=$(node_index "${1:-}")
  check_system
  lock_cluster
  start_node "$index"
  wait_for_node "$1"
  say "node $1 is ready after $(seconds_since "$started")"
}

show_logs() {
  if [ $# -eq 0 ]; then
    (cd "$LOG_FOLDER" && find . -name '*.log' -printf '%f\n' | sed 's/\.log$//' | sort)
    return
  fi
  [ -f "$LOG_FOLDER/$1.log" ] || fail "there is no log $1" "local-cluster logs"
  cat "$LOG_FOLDER/$1.log"
}
