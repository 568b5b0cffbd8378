#!/bin/bash
# down.sh: removes what the demo and the tests have made. The local cluster goes as a whole (what was built for it stays
# in the cache); in a foreign cluster only what install.sh and demo.sh have put there.
set -euo pipefail
# shellcheck source=tests/demo/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

remove_from_foreign_cluster() {
  find_kubectl
  step "removing the demo's cluster" remove_demo
  if [ -n "$(kubectl get postgresql --all-namespaces --output name 2>/dev/null)" ]; then
    say "there are other PostgreSQL clusters: the operator, the webhook and the CRDs stay"
    return
  fi
  step "removing the services" kubectl delete -k "$REPOSITORY/${OVERLAY:-deploy/base}" --ignore-not-found --timeout=120s
  step "removing the CRDs" kubectl delete -k "$REPOSITORY/crds" --ignore-not-found --timeout=60s
}

remove_demo() {
  if kubectl get crd/postgresqls.acid.zalan.do >/dev/null 2>&1; then
    kubectl --namespace "$DEMO_NAMESPACE" delete postgresql --all --timeout=120s
  fi
  kubectl delete namespace "$DEMO_NAMESPACE" --ignore-not-found --timeout=120s
}

if [ "$CLUSTER" = local ]; then
  "$LOCAL_CLUSTER" down --purge
else
  remove_from_foreign_cluster
fi
