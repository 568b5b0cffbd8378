# shellcheck shell=bash
# Cluster DNS: CoreDNS in the hub, on the bridge's address; pods, nodes and the host's processes in the hub all ask it.

start_dns() {
  cat >"$STATE_FOLDER/Corefile" <<COREFILE
.:53 {
  bind $HUB_ADDRESS
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $KUBECONFIG_FOLDER/dns $CLUSTER_NAME
    pods insecure
    ttl 5
  }
  cache 5 {
    denial 100 1
  }
  loadbalance
}
COREFILE
  start_process dns "${HUB_PREFIX[@]}" "$BINARY_FOLDER/coredns" -conf "$STATE_FOLDER/Corefile"
}
