# shellcheck shell=bash
# Network: one namespace as a hub (control plane, and the host's processes that belong into the cluster) with a bridge,
# and one namespace for each node. The hub has no default route and no link to the machine's interfaces, so nothing in
# the cluster can reach anything outside; the machine's own namespace gets no address, no route and no filter rule.

# HUB_PREFIX: starts a process in the hub. nsenter becomes the process, so its pid is the one that start_process notes.
HUB_PREFIX=(nsenter --net="/run/netns/$HUB_NAMESPACE")
in_hub() { "${HUB_PREFIX[@]}" "$@"; }

# make_namespace NAME: also over the remains of an interrupted `ip netns add`, an empty file.
make_namespace() {
  nsenter --net="/run/netns/$1" true 2>/dev/null && return
  rm -f "/run/netns/$1"
  ip netns add "$1"
}

make_hub_network() {
  make_namespace "$HUB_NAMESPACE"
  in_hub ip link set lo up
  in_hub ip link show bridge >/dev/null 2>&1 || in_hub ip link add bridge type bridge
  in_hub ip address replace "$HUB_ADDRESS/24" dev bridge
  in_hub ip link set bridge up
  in_hub sysctl -qw net.ipv4.ip_forward=1
  # The hub reaches Services through a kube-proxy of its own. A connection to an address without a route fails before
  # the filter rules can rewrite it, so there is one, even if it leads nowhere.
  in_hub ip route replace "$SERVICE_NETWORK.0.0/16" dev bridge
  mkdir -p "/etc/netns/$HUB_NAMESPACE" # `ip netns exec` mounts it over /etc
  cat >"/etc/netns/$HUB_NAMESPACE/resolv.conf" <<RESOLV
search default.svc.cluster.local svc.cluster.local cluster.local
nameserver $HUB_ADDRESS
options ndots:5
RESOLV
}

# make_node_network INDEX
make_node_network() {
  local index=$1 namespace other address
  namespace=$(node_namespace "$index")
  address=$(node_address "$index")
  make_namespace "$namespace"
  in_hub ip link show "node$index" >/dev/null 2>&1 || in_hub ip link add "node$index" type veth peer name eth0 netns "$namespace"
  in_hub ip link set "node$index" master bridge up
  in_hub ip route replace "$POD_NETWORK.$index.0/24" via "$address"
  set -- nsenter --net="/run/netns/$namespace"
  "$@" ip link set lo up
  "$@" ip address replace "$address/24" dev eth0
  "$@" ip link set eth0 up
  "$@" ip route replace default via "$HUB_ADDRESS" # leads nowhere, for Services: see above
  "$@" sysctl -qw net.ipv4.ip_forward=1
  for ((other = 1; other <= NODE_COUNT; other++)); do
    ((other == index)) || "$@" ip route replace "$POD_NETWORK.$other.0/24" via "$(node_address "$other")"
  done
}

make_network() {
  local index
  make_hub_network
  for ((index = 1; index <= NODE_COUNT; index++)); do make_node_network "$index"; done
}

# our_namespaces: the names of this cluster's namespaces, whatever their number
our_namespaces() {
  local path name
  for path in "/run/netns/$CLUSTER_NAME" "/run/netns/$CLUSTER_NAME"-n[0-9]; do
    name=${path##*/}
    [ ! -e "$path" ] || echo "$name"
  done
}

remove_network() {
  local name
  for name in $(our_namespaces); do ip netns delete "$name"; done
  rm -rf "/etc/netns/${HUB_NAMESPACE:?}"
  rmdir /etc/netns 2>/dev/null || true
}

# write_kube_proxy_config FILE NODE_NAME ADDRESS: writes only what is new, because a kube-proxy ends when its file is
# written, be it with the same words.
write_kube_proxy_config() {
  local config
  config=$(kube_proxy_config "$2" "$3")
  [ "$config" = "$(cat "$1" 2>/dev/null)" ] || printf '%s\n' "$config" >"$1"
}

# kube_proxy_config NODE_NAME ADDRESS
kube_proxy_config() {
  cat <<CONFIG
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $KUBECONFIG_FOLDER/kube-proxy}
mode: $PROXY_MODE
clusterCIDR: $POD_NETWORK.0.0/16
hostnameOverride: $1
bindAddress: $2
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
# The limit and the timeouts are the whole machine's, and read-only in a namespace.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
iptables: {minSyncPeriod: 0s, syncPeriod: 30s}
CONFIG
}

# start_hub_proxy: Services for the API server (webhooks) and for the host's processes in the hub. kube-proxy wants a
# Node object to read its addresses from, so this one uses the first node's name.
start_hub_proxy() {
  write_kube_proxy_config "$STATE_FOLDER/hub-proxy.yaml" "$(node_name 1)" "$HUB_ADDRESS"
  start_process hub-proxy "${HUB_PREFIX[@]}" "$BINARY_FOLDER/kube-proxy" --config="$STATE_FOLDER/hub-proxy.yaml"
}

# start_port: the API server's port on the machine's own loopback.
start_port() {
  if ! is_running port && [ -n "$(ss -Hltn "sport = :$API_PORT")" ]; then
    fail "port $API_PORT is taken: $(ss -Hltnp "sport = :$API_PORT" | grep -o 'users:.*' || echo 'by an unknown process')" \
      "choose another one with LOCAL_CLUSTER_PORT"
  fi
  start_process port python3 "$LIBRARY_FOLDER/namespace_proxy.py" "/run/netns/$HUB_NAMESPACE" "$API_PORT"
}
