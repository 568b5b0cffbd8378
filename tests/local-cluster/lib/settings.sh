# shellcheck shell=bash
# Settings: what a user may choose, each by one environment variable, and the paths that follow from them.
# shellcheck disable=SC2034 # the other files use them

# --- what a user may choose -------------------------------------------------------------------------------------------
CACHE_FOLDER=${LOCAL_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postgres-operator-local-cluster}
if [ "$(id -u)" = 0 ]; then MODE=${LOCAL_CLUSTER_MODE:-full}; else MODE=${LOCAL_CLUSTER_MODE:-light}; fi
if [ "$MODE" = light ]; then default_name=light default_port=7543 default_pods=127.64; else default_name=pgtest default_port=7443 default_pods=10.244; fi
CLUSTER_NAME=${LOCAL_CLUSTER_NAME:-$default_name}
default_state=$CACHE_FOLDER/state/$CLUSTER_NAME
# PostgreSQL does not run as root: in light mode root's databases belong to 'postgres', who may not enter root's home
if [ "$MODE $(id -u)" = "light 0" ]; then default_state=/var/tmp/postgres-operator-$CLUSTER_NAME; fi
STATE_FOLDER=${LOCAL_CLUSTER_STATE:-$default_state}
NODE_COUNT=${LOCAL_CLUSTER_NODES:-2}
API_PORT=${LOCAL_CLUSTER_PORT:-$default_port}
if [ "$MODE" = light ] && [[ $API_PORT =~ ^[0-9]+$ ]]; then ETCD_PORT=${ETCD_PORT:-$((API_PORT + 1))}; fi
NODE_NETWORK=${LOCAL_CLUSTER_NODE_NETWORK:-10.250.0}
POD_NETWORK=${LOCAL_CLUSTER_POD_NETWORK:-$default_pods}
SERVICE_NETWORK=${LOCAL_CLUSTER_SERVICE_NETWORK:-10.96}
PROXY_MODE=${LOCAL_CLUSTER_PROXY_MODE:-iptables}
READY_SECONDS=${LOCAL_CLUSTER_READY_SECONDS:-180}
PROCESS_NODE=${LOCAL_CLUSTER_PROCESS_NODE:-}
read -ra NODE_NAMES <<<"${LOCAL_CLUSTER_NODE_NAMES:-}"
read -ra SPILO_IMAGES <<<"${LOCAL_CLUSTER_SPILO_IMAGES:-localhost/spilo:1 localhost/spilo:2}"
read -ra POOLER_IMAGES <<<"${LOCAL_CLUSTER_POOLER_IMAGES:-localhost/pooler:1}"
read -ra BACKUP_IMAGES <<<"${LOCAL_CLUSTER_BACKUP_IMAGES:-localhost/logical-backup:1}"
read -ra API_SERVER_FLAGS <<<"${LOCAL_CLUSTER_API_SERVER_FLAGS:-}"
read -ra CONTROLLER_MANAGER_FLAGS <<<"${LOCAL_CLUSTER_CONTROLLER_MANAGER_FLAGS:-}"
SCHEDULER_FLAGS=()

settings_help() {
  cat <<EOF_HELP
Settings, by environment variables (in brackets: now):
  LOCAL_CLUSTER_MODE             full (nodes with containers; root only) or light (processes only, no privilege) [$MODE]
  LOCAL_CLUSTER_CACHE            binaries and images, kept by down [$CACHE_FOLDER]
  LOCAL_CLUSTER_NAME             prefix of network namespaces and cgroups, at most 10 characters [$CLUSTER_NAME]
  LOCAL_CLUSTER_STATE            databases, volumes, logs and pids of this cluster [$STATE_FOLDER]
  LOCAL_CLUSTER_NODES            how many nodes, 1 to 9 [$NODE_COUNT]
  LOCAL_CLUSTER_NODE_NAMES       their names, "a b"; node1, node2 ... where none is given [${NODE_NAMES[*]}]
  LOCAL_CLUSTER_PORT             port of the API server on 127.0.0.1 [$API_PORT]
  LOCAL_CLUSTER_NODE_NETWORK     first three numbers of the nodes' network [$NODE_NETWORK]
  LOCAL_CLUSTER_POD_NETWORK      first two numbers of the pods' networks [$POD_NETWORK]
  LOCAL_CLUSTER_SERVICE_NETWORK  first two numbers of the Services' network [$SERVICE_NETWORK]
  LOCAL_CLUSTER_PROXY_MODE       kube-proxy: iptables or nftables [$PROXY_MODE]
  LOCAL_CLUSTER_SPILO_IMAGES     names of the database image, same content [${SPILO_IMAGES[*]}]
  LOCAL_CLUSTER_POOLER_IMAGES    names of the PgBouncer image [${POOLER_IMAGES[*]}]
  LOCAL_CLUSTER_BACKUP_IMAGES    names of the logical backup image [${BACKUP_IMAGES[*]}]
  LOCAL_CLUSTER_READY_SECONDS    how long up waits for the nodes [$READY_SECONDS]
  LOCAL_CLUSTER_PROCESS_NODE     light mode: a built process-node; without it cargo builds one [$PROCESS_NODE]
  LOCAL_CLUSTER_API_SERVER_FLAGS, LOCAL_CLUSTER_CONTROLLER_MANAGER_FLAGS   further flags
Each cluster needs a name and a port of its own; the networks may be the same, no cluster sees another's.
EOF_HELP
}

# --- what follows from it ---------------------------------------------------------------------------------------------
BINARY_FOLDER=$CACHE_FOLDER/bin
IMAGE_FOLDER=$CACHE_FOLDER/images          # archives that every node has
IMAGE_WORK_FOLDER=$CACHE_FOLDER/image-work # layers, before they are packed
TEMPLATE_FOLDER=$CACHE_FOLDER/containerd-template
LOG_FOLDER=$STATE_FOLDER/log
PID_FOLDER=$STATE_FOLDER/pid
CERTIFICATE_FOLDER=$STATE_FOLDER/certificates
KUBECONFIG_FOLDER=$STATE_FOLDER/kubeconfig
ADMIN_KUBECONFIG=$KUBECONFIG_FOLDER/admin
HUB_ADDRESS=$NODE_NETWORK.1
HUB_NAMESPACE=$CLUSTER_NAME

# node_name INDEX: the name of a node (the first has index 1).
node_name() { echo "${NODE_NAMES[$(($1 - 1))]:-node$1}"; }

# node_names: all of them, one a line.
node_names() { local index; for ((index = 1; index <= NODE_COUNT; index++)); do node_name "$index"; done; }

# node_index NAME: the inverse; ends the program where there is no such node.
node_index() {
  local index
  for ((index = 1; index <= NODE_COUNT; index++)); do
    if [ "$(node_name "$index")" = "$1" ]; then echo "$index"; return; fi
  done
  fail "there is no node '$1'" "the nodes are: $(node_names | paste -sd' ')"
}

node_folder() { echo "$STATE_FOLDER/nodes/$1"; }
node_address() { echo "$NODE_NETWORK.$((10 + $1))"; }
node_namespace() { echo "$CLUSTER_NAME-n$1"; }

# check_settings: refuses values that would only fail much later, or not at all.
check_settings() {
  local name
  case $MODE in full | light) ;; *) fail "LOCAL_CLUSTER_MODE is '$MODE'" "full or light" ;; esac
  for name in "${NODE_NAMES[@]}"; do
    [[ $name =~ ^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?$ ]] || fail "LOCAL_CLUSTER_NODE_NAMES has '$name'" "lower-case letters, digits and '-'"
  done
  [[ $CLUSTER_NAME =~ ^[a-z][a-z0-9-]{0,9}$ ]] || fail "LOCAL_CLUSTER_NAME '$CLUSTER_NAME' is no usable name" "lower-case letters, digits and '-', at most 10, a letter first"
  [[ $NODE_COUNT =~ ^[1-9]$ ]] || fail "LOCAL_CLUSTER_NODES is '$NODE_COUNT'" "a number from 1 to 9"
  [[ $API_PORT =~ ^[1-9][0-9]{3,4}$ ]] || fail "LOCAL_CLUSTER_PORT is '$API_PORT'" "a number from 1024 to 65535"
  [[ $NODE_NETWORK =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "LOCAL_CLUSTER_NODE_NETWORK is '$NODE_NETWORK'" "three numbers, as in 10.250.0"
  [[ $POD_NETWORK =~ ^[0-9]+\.[0-9]+$ ]] || fail "LOCAL_CLUSTER_POD_NETWORK is '$POD_NETWORK'" "two numbers, as in 10.244"
  [ "$MODE" = full ] || [[ $POD_NETWORK == 127.* ]] || fail "LOCAL_CLUSTER_POD_NETWORK is '$POD_NETWORK'" "in light mode pods have loopback addresses, as in 127.64"
  [[ $SERVICE_NETWORK =~ ^[0-9]+\.[0-9]+$ ]] || fail "LOCAL_CLUSTER_SERVICE_NETWORK is '$SERVICE_NETWORK'" "two numbers, as in 10.96"
  # every node mounts a file system of its own over /run
  case $STATE_FOLDER in /run/* | /var/run/*) fail "the state folder $STATE_FOLDER is below /run" "choose another one with LOCAL_CLUSTER_STATE" ;; esac
  case $STATE_FOLDER$CACHE_FOLDER in *[[:space:]]*) fail "a folder has a blank in its path" "set LOCAL_CLUSTER_CACHE and LOCAL_CLUSTER_STATE" ;; esac
}
