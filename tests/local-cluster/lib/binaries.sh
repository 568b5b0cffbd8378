# shellcheck shell=bash
# Binaries: Kubernetes, etcd and CoreDNS, built from Go modules. All in one module (tools/go.mod), so that what they
# share is compiled once.

KUBERNETES_VERSION=1.34.4
BINARIES=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy etcd coredns)

# kube ARGUMENTS...: kubectl on this cluster
kube() {
  if command -v kubectl >/dev/null; then
    kubectl --kubeconfig "$ADMIN_KUBECONFIG" "$@"
  else
    "$BINARY_FOLDER/kubectl" --kubeconfig "$ADMIN_KUBECONFIG" "$@"
  fi
}

missing_binaries() {
  local name
  for name in "${BINARIES[@]}"; do [ -x "$BINARY_FOLDER/$name" ] || echo "$name"; done
  if ! command -v kubectl >/dev/null && [ ! -x "$BINARY_FOLDER/kubectl" ]; then echo kubectl; fi
}

# build_binaries NAME...: all in one run of Go, so that one program is linked while another compiles
build_binaries() {
  local name packages=() unfinished=$BINARY_FOLDER.part flags="-s -w -X k8s.io/component-base/version.gitVersion=v$KUBERNETES_VERSION"
  flags+=" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34"
  for name in "$@"; do
    case $name in
      etcd) packages+=(go.etcd.io/etcd/server/v3) ;;
      coredns) packages+=(./dns) ;;
      *) packages+=("k8s.io/kubernetes/cmd/$name") ;;
    esac
  done
  rm -rf "$unfinished"
  mkdir -p "$unfinished" "$BINARY_FOLDER"
  cd "$PROJECT_FOLDER/tools" || return
  export GOFLAGS="-trimpath -buildvcs=false" CGO_ENABLED=0
  nice go build -ldflags "$flags" -o "$unfinished/" "${packages[@]}"
  # Go names two of them after their folders
  [ ! -e "$unfinished/server" ] || mv "$unfinished/server" "$unfinished/etcd"
  [ ! -e "$unfinished/dns" ] || mv "$unfinished/dns" "$unfinished/coredns"
  mv "$unfinished"/* "$BINARY_FOLDER/"
  rmdir "$unfinished"
}

make_binaries() {
  local missing
  mapfile -t missing < <(missing_binaries)
  [ ${#missing[@]} -gt 0 ] || return 0
  check_go
  check_disk 6000 # most of it is Go's own build cache
  step "building ${#missing[@]} programs of Kubernetes $KUBERNETES_VERSION from Go modules" build_binaries "${missing[@]}"
}
