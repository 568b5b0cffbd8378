#!/bin/bash
# install.sh: CRDs, webhook and operator into the cluster, from the archives that images.sh has made. Run it again after
# any change: what is the same stays as it is, what is not is rolled out.
set -euo pipefail
# shellcheck source=tests/demo/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# load_images: into the nodes. A foreign cluster takes them by the command in LOAD, or has them already.
load_images() {
  local service
  for service in "${SERVICES[@]}"; do
    if [ "$CLUSTER" = local ]; then "$LOCAL_CLUSTER" load-image "$ARCHIVE_FOLDER/$service.tar"
    elif [ -n "$LOAD" ]; then $LOAD "$ARCHIVE_FOLDER/$service.tar"; fi # a command with its arguments
  done
}

install_crds() {
  kubectl apply --server-side -k "$REPOSITORY/crds"
  # kubectl itself fails on a CRD so new that it has no conditions yet
  within 60 "the CRDs to be established" kubectl wait --for=condition=Established --timeout=10s \
    crd/postgresqls.acid.zalan.do crd/operatorconfigurations.acid.zalan.do
}

# The tag of a new build is the old one: the program's digest in the pod template tells Kubernetes which is which.
install_services() {
  local folder=$REPOSITORY/target/demo/kustomization
  mkdir -p "$folder"
  cat >"$folder/kustomization.yaml" <<KUSTOMIZATION
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../../$1]
patches:
$(digest_patch operator postgres-operator)
$(digest_patch webhook postgres-operator-webhook)
KUSTOMIZATION
  kubectl apply -k "$folder"
}

# digest_patch SERVICE DEPLOYMENT
digest_patch() {
  cat <<PATCH
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: $2, namespace: $OPERATOR_NAMESPACE}
      spec: {template: {metadata: {annotations: {postgres-operator/program: "$(cat "$ARCHIVE_FOLDER/$1.digest")"}}}}
PATCH
}

wait_for_services() {
  local deployment
  for deployment in postgres-operator-webhook postgres-operator; do
    kubectl --namespace "$OPERATOR_NAMESPACE" rollout status "deployment/$deployment" --timeout=180s
  done
}

# The API server calls the webhook only once it has been told whose certificates to trust.
webhook_is_trusted() {
  local bundles
  bundles=$(kubectl get validatingwebhookconfiguration postgres-operator --output 'jsonpath={.webhooks[*].clientConfig.caBundle}')
  [ "$(wc -w <<<"$bundles")" = "$(kubectl get validatingwebhookconfiguration postgres-operator --output 'jsonpath={.webhooks[*].name}' | wc -w)" ]
}

# ... and a moment later it does
webhook_answers() {
  kubectl apply --dry-run=server --filename "$REPOSITORY/docs/examples/minimal.yaml"
}

# overlay: what is installed; in light mode the webhook has an address in the place of a Service
overlay() {
  if [ -n "$OVERLAY" ]; then echo "$OVERLAY"
  elif is_light; then echo deploy/overlays/light
  elif [ "$CLUSTER" = local ]; then echo deploy/overlays/local
  else echo deploy/base; fi
}

main() {
  local overlay
  overlay=$(overlay)
  step "installing the CRDs" install_crds
  if [ "${1:-}" = --crds-only ]; then return; fi
  load_images
  step "installing $overlay" install_services "$overlay"
  step "waiting for the services to be ready" wait_for_services
  within 60 "the webhook's certificate to be published" webhook_is_trusted
  within 60 "the webhook's first answer" webhook_answers
  kubectl --namespace "$OPERATOR_NAMESPACE" get pods
}

use_cluster
main "$@"
