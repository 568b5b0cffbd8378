#!/bin/bash
# node_init.sh NAME: the first process of a node, inside the node's namespaces; started by start_node in node.sh.
# When it ends, the kernel ends every process of the node, containers included.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/messages.sh"
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"

# keep_running LOG COMMAND...: a daemon that ends is started again, as a service manager would.
keep_running() {
  local log=$LOG_FOLDER/$1
  shift
  while :; do
    "$@" >>"$log" 2>&1 || true
    echo "$1 has ended; again in a second" >>"$log"
    sleep 1
  done
}

# hide_machine_settings: kubelet insists on writing sysctls that are the whole machine's. It gets plain files instead.
hide_machine_settings() {
  local setting copy
  for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    copy=/run/sysctl-${setting//\//-}
    cat "/proc/sys/$setting" >"$copy"
    mount --bind "$copy" "/proc/sys/$setting"
  done
}

main() {
  local name=$1 folder
  folder=$(node_folder "$name")
  hostname "$name"
  mount --make-rshared / # pods may ask for mount propagation
  # A private /run: containerd's state, sockets, locks. The node's own folder gets a short path in it, because the path
  # of a socket may have only 107 characters.
  mount -t tmpfs tmpfs /run
  mkdir -p /run/lock /run/netns /run/node /run/cni
  mount --bind "$folder" /run/node
  mount --make-rshared /run/node
  mount --bind /run/node/cni-state /var/lib/cni
  mount --bind /run/node/container-logs /var/log/containers
  cp /run/node/resolv.conf /run/resolv.conf
  mount --bind /run/resolv.conf /etc/resolv.conf
  hide_machine_settings

  keep_running "$name-containerd.log" containerd --config /run/node/containerd.toml &
  until ctr --address /run/containerd/containerd.sock version >/dev/null 2>&1; do sleep 0.1; done
  keep_running "$name-kubelet.log" "$BINARY_FOLDER/kubelet" --config=/run/node/kubelet.yaml \
    --kubeconfig="$KUBECONFIG_FOLDER/node-$name" --root-dir=/run/node/kubelet --cert-dir=/run/node/kubelet-certificates \
    --hostname-override="$name" --node-ip="$(node_address "$(node_index "$name")")" &
  keep_running "$name-kube-proxy.log" "$BINARY_FOLDER/kube-proxy" --config=/run/node/kube-proxy.yaml &
  # bash reaps the containers' processes that become its children; the loops above never end
  wait
}

main "$@" # read to its end before it starts: a file that changes under a running bash confuses it
exit
