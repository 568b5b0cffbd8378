#!/bin/bash
# installations.sh [TIMES]: installs everything where nothing is, applies a manifest at once, and takes all of it away
# again, so many times (20). Ends with a line that counts. It wants a cluster for itself: the definitions go, too.
set -euo pipefail
# shellcheck source=tests/demo/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/../demo/environment.sh"
TIMES=${1:-20}
NAMESPACE=soak-installations
MANIFEST=$REPOSITORY/docs/examples/minimal.yaml
PASSED=0 FAILED=0

# overlay_of_cluster: the one that install.sh takes here
overlay_of_cluster() {
  if [ -n "$OVERLAY" ]; then echo "$OVERLAY"; elif is_light; then echo deploy/overlays/light; else echo deploy/overlays/local; fi
}

# remove: clusters first, while somebody is there who takes them down
remove() {
  if kubectl get crd/postgresqls.acid.zalan.do >/dev/null 2>&1; then
    kubectl delete postgresql --all --all-namespaces --timeout=120s
  fi
  kubectl delete namespace "$NAMESPACE" --ignore-not-found --timeout=120s
  kubectl delete -k "$REPOSITORY/$(overlay_of_cluster)" --ignore-not-found --timeout=120s
  kubectl delete -k "$REPOSITORY/crds" --ignore-not-found --timeout=60s
}

is_running() {
  [ "$(kubectl --namespace "$NAMESPACE" get postgresql acid-minimal --output 'jsonpath={.status.PostgresClusterStatus}')" = Running ]
}

# play NUMBER: one installation; the first apply counts, there is no second
play() {
  local begun installed applied answer
  step "removing everything" remove
  begun=$(milliseconds)
  "$REPOSITORY/tests/demo/install.sh" >"$LOG_FOLDER/installation-$1.log" 2>&1 || { say "$1: not installed, see $LOG_FOLDER/installation-$1.log"; return 1; }
  installed=$(seconds_since "$begun")
  kubectl create namespace "$NAMESPACE" >/dev/null
  begun=$(milliseconds)
  answer=$(kubectl --namespace "$NAMESPACE" apply --filename "$MANIFEST" 2>&1) || { say "$1: installed in $installed, and then: $answer"; return 1; }
  applied=$(seconds_since "$begun")
  begun=$(milliseconds)
  within 240 "the cluster to run" is_running
  say "installation $1: installed in $installed, applied in $applied, running $(seconds_since "$begun") later"
}

main() {
  local number
  use_cluster
  mkdir -p "$LOG_FOLDER"
  for ((number = 1; number <= TIMES; number++)); do
    if (play "$number"); then PASSED=$((PASSED + 1)); else FAILED=$((FAILED + 1)); fi
  done
  echo "$PASSED passed, $FAILED failed"
  ((FAILED == 0))
}

main
