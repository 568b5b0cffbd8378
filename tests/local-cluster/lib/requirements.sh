# shellcheck shell=bash
# What the machine has to be and to have. Only Debian packages are installed, by name, and only those that are missing.

# program or file that shows it, and its package
REQUIREMENTS=(
  containerd:containerd ctr:containerd runc:runc /usr/lib/cni/bridge:containernetworking-plugins
  iptables:iptables nft:nftables ip:iproute2 ss:iproute2 nsenter:util-linux sysctl:procps
  openssl:openssl python3:python3 curl:curl mmdebstrap:mmdebstrap gcc:gcc /usr/include/stdlib.h:libc6-dev
)
GO_MINIMUM=1.24

check_system() {
  [ "$(uname -s)" = Linux ] || fail "this is $(uname -s): the nodes are made of Linux namespaces" "use a Debian machine"
  [ -f /etc/debian_version ] || fail "this is no Debian: programs and images come from its packages" "use a Debian machine, or KUBECONFIG with a cluster of another kind"
  [ "$(id -u)" = 0 ] || fail "only root may make namespaces and mounts" "run it as root, for example with sudo --preserve-env"
}

install_packages() {
  local requirement name package missing=()
  for requirement in "${REQUIREMENTS[@]}"; do
    name=${requirement%%:*} package=${requirement#*:}
    if ! command -v "$name" >/dev/null && [ ! -e "$name" ]; then missing+=("$package"); fi
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  step "installing Debian packages (${missing[*]})" apt_install "${missing[@]}"
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update
  apt-get install --yes --no-install-recommends "$@"
}

# version_at_least VERSION MINIMUM
version_at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

check_go() {
  local version
  command -v go >/dev/null || fail "Go is missing: Kubernetes is built from its modules" "install Go $GO_MINIMUM or newer and have it in PATH"
  version=$(GOTOOLCHAIN=local go env GOVERSION)
  version_at_least "${version#go}" "$GO_MINIMUM" || fail "Go is too old: ${version#go}" "install Go $GO_MINIMUM or newer and have it in PATH"
}

# check_disk MEGABYTES: room on the cache folder's disk
check_disk() {
  local free
  mkdir -p "$CACHE_FOLDER"
  free=$(df --output=avail --block-size=1M "$CACHE_FOLDER" | tail -n 1 | tr -d ' ')
  ((free >= $1)) || fail "$CACHE_FOLDER has $free MB free, $1 MB are needed" "make room, or choose another disk with LOCAL_CLUSTER_CACHE (and GOCACHE)"
}
