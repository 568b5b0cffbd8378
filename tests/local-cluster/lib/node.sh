# shellcheck shell=bash
# Nodes: containerd, kubelet and kube-proxy in network, mount, PID, host name and IPC namespaces of their own. The PID
# namespace makes stopping sure (its first process takes every container with it), the mount namespace makes it clean
# (all mounts vanish with it).

# prepare_cgroups NAME: kubelet wants its cgroup root to exist. What a dead node left there must go first: kubelet would
# spend seconds on each leftover before the node gets Ready.
prepare_cgroups() {
  local hierarchy parent folder
  remove_cgroups "$CLUSTER_NAME/$1"
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then # one hierarchy for all (version 2)
    parent=/sys/fs/cgroup/$CLUSTER_NAME
    mkdir -p "$parent/$1"
    for folder in /sys/fs/cgroup "$parent" "$parent/$1"; do
      enable_controllers "$folder"
    done
    return
  fi
  for hierarchy in /sys/fs/cgroup/*/; do
    if [ -L "${hierarchy%/}" ] || [ ! -e "$hierarchy/cgroup.procs" ]; then continue; fi
    mkdir -p "$hierarchy/$CLUSTER_NAME/$1"
    [ -e "$hierarchy/cpuset.cpus" ] || continue
    for folder in "$hierarchy/$CLUSTER_NAME" "$hierarchy/$CLUSTER_NAME/$1"; do # empty until filled
      cat "$hierarchy/cpuset.mems" >"$folder/cpuset.mems"
      cat "$hierarchy/cpuset.cpus" >"$folder/cpuset.cpus"
    done
  done
}

enable_controllers() {
  local controller controllers
  read -ra controllers <"$1/cgroup.controllers"
  for controller in "${controllers[@]}"; do
    echo "+$controller" >"$1/cgroup.subtree_control" 2>/dev/null || true # some cannot be passed on
  done
}

# remove_cgroups PATH: in every hierarchy; they hold no process any more.
remove_cgroups() {
  local folder
  for folder in "/sys/fs/cgroup/$1" /sys/fs/cgroup/*/"$1"; do
    if [ -d "$folder" ]; then find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
  done
}

write_containerd_config() {
  cat >"$1/containerd.toml" <<'CONFIG'
version = 2
root = "/run/node/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  # root may be without CAP_SYS_RESOURCE (this machine may be a container): scores below our own are refused then
  restrict_oom_score_adj = true
  enable_unprivileged_ports = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/run/node/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
CONFIG
}

write_pod_network_config() {
  cat >"$1/cni/10-bridge.conflist" <<CONFIG
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "pods", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "$POD_NETWORK.$2.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
CONFIG
}

write_kubelet_config() {
  cat >"$1/kubelet.yaml" <<CONFIG
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CLUSTER_NAME/$2
failCgroupV1: false
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $CERTIFICATE_FOLDER/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $CERTIFICATE_FOLDER/node-$2.crt
tlsPrivateKeyFile: $CERTIFICATE_FOLDER/node-$2.key
clusterDNS: ["$HUB_ADDRESS"]
clusterDomain: cluster.local
resolvConf: /run/node/resolv.conf
podLogsDir: /run/node/pod-logs
volumePluginDir: /run/node/volume-plugins
failSwapOn: false
maxPods: 200
# The disk is the machine's, however full that is: neither pods nor images may go because of it.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%", memory.available: "100Mi"}
# quick reactions for tests
nodeStatusUpdateFrequency: 4s
syncFrequency: 20s
kubeAPIQPS: 100
kubeAPIBurst: 200
CONFIG
}

# start_node INDEX: unless it runs
start_node() {
  local index=$1 name folder address
  name=$(node_name "$index")
  folder=$(node_folder "$name")
  address=$(node_address "$index")
  is_running "node-$name" && return
  make_node_certificate "$name" "$address"
  mkdir -p "$folder"/{cni,cni-state,container-logs,containerd,kubelet,pod-logs} /var/lib/cni /var/log/containers
  if [ ! -e "$folder/images" ]; then
    lock_cache
    copy_template "$folder"
    unlock_cache
  fi
  prepare_cgroups "$name"
  write_containerd_config "$folder"
  write_pod_network_config "$folder" "$index"
  write_kubelet_config "$folder" "$name"
  write_kube_proxy_config "$folder/kube-proxy.yaml" "$name" "$address"
  echo "nameserver $HUB_ADDRESS" >"$folder/resolv.conf"
  start_process "node-$name" nsenter --net="/run/netns/$(node_namespace "$index")" \
    unshare --mount --uts --ipc --pid --fork --kill-child=SIGKILL --mount-proc --propagation slave \
    "$LIBRARY_FOLDER/node_init.sh" "$name"
}

# node_init_pid NAME: its first process, as seen from here
node_init_pid() {
  local pid children
  pid=$(running_pid "node-$1") || return 1
  read -ra children <<<"$(cat "/proc/$pid/task/$pid/children" 2>/dev/null)"
  [ ${#children[@]} -gt 0 ] && echo "${children[0]}"
}

# stop_node NAME: like a power cut. `unshare --fork` takes no TERM, so its child gets a KILL.
stop_node() {
  local init
  if init=$(node_init_pid "$1"); then kill -KILL "$init" 2>/dev/null || true; fi
  wait_for_end "node-$1" 10 || signal_process "node-$1" KILL
  stop_process "node-$1" 5
  remove_cgroups "$CLUSTER_NAME/$1"
}

# in_node NAME COMMAND...
in_node() {
  local init
  init=$(node_init_pid "$1") || fail "node $1 is not running" "start it: local-cluster node-start $1"
  shift
  nsenter --target "$init" --mount --net --pid --uts --ipc -- "$@"
}

# running_nodes: the names of all nodes with a process, also of those that the settings no longer name
running_nodes() {
  local file name
  for file in "$PID_FOLDER"/node-*; do
    name=${file##*/node-}
    if [ -e "$file" ] && is_running "node-$name"; then echo "$name"; fi
  done
}

# node_is_ready NAME: after a restart the API still holds the old condition for a while, so kubelet is asked first
node_is_ready() {
  local condition='{.status.conditions[?(@.type=="Ready")].status}'
  [ "$(kube get --raw "/api/v1/nodes/$1/proxy/healthz" 2>/dev/null)" = ok ] &&
    [ "$(kube get node "$1" -o jsonpath="$condition" 2>/dev/null)" = True ]
}

# wait_for_node NAME
wait_for_node() {
  local started log=$LOG_FOLDER/$1-kubelet.log
  started=$(milliseconds)
  until node_is_ready "$1"; do
    if ! is_running "node-$1"; then
      tail -n 15 "$LOG_FOLDER/node-$1.log" >&2
      fail "node $1 has ended" "its log: $LOG_FOLDER/node-$1.log"
    fi
    if (($(milliseconds) - started > READY_SECONDS * 1000)); then
      tail -n 15 "$log" >&2
      kube get node "$1" -o jsonpath='{range .status.conditions[*]}{.type}={.status}: {.message}{"\n"}{end}' >&2 || true
      fail "node $1 is not Ready after $READY_SECONDS s" "its logs: $log and $LOG_FOLDER/$1-containerd.log; then run 'up' again"
    fi
    sleep 0.2
  done
}
