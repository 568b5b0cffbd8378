# shellcheck shell=bash
# shellcheck disable=SC2034 # the other scripts use these variables
# What every script here goes by: where things are, which Kubernetes is used, and how. Sourced, never run.
#
# A KUBECONFIG that is set is used as it is and nothing local is started. Without one the local cluster is used: of
# namespaces and containers where this user is root, otherwise in its light mode, which needs no privilege.

REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LOCAL_CLUSTER=$REPOSITORY/tests/local-cluster/local-cluster
# Words for people (say, fail, step), the cache's and the cluster's folders, and Debian packages by name are the local
# cluster's.
for file in messages settings requirements; do
  # shellcheck source=/dev/null
  source "$REPOSITORY/tests/local-cluster/lib/$file.sh"
done
# step() writes here; the cluster's own folder disappears with the cluster
LOG_FOLDER=$REPOSITORY/target/demo/log
ARCHIVE_FOLDER=$REPOSITORY/target/demo/images
SERVICES=(operator webhook certs)
OPERATOR_NAMESPACE=postgres-operator

# --- settings ---------------------------------------------------------------------------------------------------------
PROFILE=${PROFILE:-dev}                                  # cargo's profile of the services' programs
OVERLAY=${OVERLAY:-}                                     # the kustomization that is installed
LOAD=${LOAD:-}                                           # foreign clusters: command that takes an image archive there
DEMO_NAMESPACE=${DEMO_NAMESPACE:-demo}                   # where the demo's cluster lives; it is deleted and made anew
NEXT_IMAGE=${NEXT_IMAGE:-}                               # the image the demo changes to

# One script calls the other with KUBECONFIG set; whether it is our own cluster's goes along.
if [ -n "${KUBECONFIG:-}" ] && [ "${LOCAL_CLUSTER_KUBECONFIG:-}" != "$KUBECONFIG" ]; then
  CLUSTER=foreign
else
  CLUSTER=local
  export LOCAL_CLUSTER_MODE=$MODE # full or light, as the local cluster's settings have decided
fi

is_light() { [ "$CLUSTER" = local ] && [ "$LOCAL_CLUSTER_MODE" = light ]; }

# heading TEXT: the next part of the story
heading() { printf '\n== %s\n' "$*"; }

# within SECONDS WHAT COMMAND...: waits until the command succeeds, and says for what every 15 seconds
within() {
  local seconds=$1 what=$2 started last=0 elapsed
  shift 2
  started=$SECONDS
  until "$@" >/dev/null 2>&1; do
    elapsed=$((SECONDS - started))
    ((elapsed <= seconds)) || { "$@" >&2 || true; fail "not within $seconds s: $what"; }
    if ((elapsed >= last + 15)); then last=$elapsed; say "waiting for $what ... $elapsed s so far"; fi
    sleep 0.3
  done
}

# use_cluster: sees to it that there is a Kubernetes, and that kubectl means it
use_cluster() {
  if [ "$CLUSTER" = foreign ]; then
    say "using the cluster of KUBECONFIG=$KUBECONFIG: nothing local is started"
  else
    [ "${LOCAL_CLUSTER_KUBECONFIG:-}" = "${KUBECONFIG:-none}" ] || "$LOCAL_CLUSTER" up
    KUBECONFIG=$("$LOCAL_CLUSTER" kubeconfig)
    export KUBECONFIG LOCAL_CLUSTER_KUBECONFIG=$KUBECONFIG
    export LOCAL_CLUSTER_AUDIT_LOG=$STATE_FOLDER/log/audit.log
  fi
  find_kubectl
  kubectl get --raw /readyz >/dev/null || fail "the API server does not answer" "look at KUBECONFIG=$KUBECONFIG"
}

# find_kubectl: the machine's own, or the one that the local cluster has built (Debian has none of this name)
find_kubectl() {
  command -v kubectl >/dev/null && return
  [ -x "$BINARY_FOLDER/kubectl" ] || fail "kubectl is missing" "install it, or unset KUBECONFIG: the local cluster builds its own"
  PATH=$PATH:$BINARY_FOLDER
}
