# shellcheck shell=bash
# Following a cluster: each change of its members or of its status is one line with the time since the start. Sourced.

# members: one line each, "name|role|image|state". A pod that is being deleted still has its old role and image.
members() {
  # the last three: whether its container is ready, what it waits for, and when its deletion was asked for
  # shellcheck disable=SC2016 # jsonpath, not shell
  kubectl --namespace "$DEMO_NAMESPACE" get pods --selector "cluster-name=$MANIFEST" --output \
    'jsonpath={range .items[*]}{.metadata.name}|{.metadata.labels.spilo-role}|{.spec.containers[0].image}|{.status.phase}|{.status.containerStatuses[0].ready}|{.status.containerStatuses[0].state.waiting.reason}|{.metadata.deletionTimestamp}{"\n"}{end}' |
    awk -F'|' -v OFS='|' '{
      state = $4 == "Running" ? ($5 == "true" ? "ready" : "starting") : tolower($4)
      if ($6 != "" && $6 != "ContainerCreating") state = state ": " $6
      if ($7 != "") state = "ending"
      role = $2 == "master" ? "primary" : $2 == "" ? "no role yet" : $2
      sub(".*/", "", $3)
      print $1, role, $3, state
    }'
}

# status: "Running", or "Updating: recreate demo-0" while there is something to say
status() {
  kubectl --namespace "$DEMO_NAMESPACE" get postgresql "$MANIFEST" --output \
    'jsonpath={.status.PostgresClusterStatus}|{.status.lastStep.what}|{.metadata.generation}|{.status.observedGeneration}'
}

# follow SECONDS COMMAND...: prints what changes until the command succeeds
follow() {
  local seconds=$1 started name role image state word step generation observed last_word='' last_step='' told=0
  local -A shown=() seen=()
  shift
  started=$(milliseconds)
  IFS='|' read -r word last_step generation observed <<<"$(status)" # a step from before is no news
  while true; do
    IFS='|' read -r word step generation observed <<<"$(status)"
    if [ "$step" != "$last_step" ] && [ -n "$step" ]; then event "$started" "operator" "$step"; last_step=$step; told=$SECONDS; fi
    seen=()
    while IFS='|' read -r name role image state; do
      [ -n "$name" ] || continue
      seen[$name]=1
      [ "${shown[$name]:-}" != "$role|$image|$state" ] || continue
      shown[$name]="$role|$image|$state"
      event "$started" "$name" "$(printf '%-12s %-10s %s' "$role" "$image" "$state")"
      told=$SECONDS
    done <<<"$(members)"
    for name in "${!shown[@]}"; do
      if [ -n "${seen[$name]:-}" ] || [ "${shown[$name]}" = gone ]; then continue; fi
      shown[$name]=gone
      event "$started" "$name" gone
    done
    if [ "$word" != "$last_word" ] && [ -n "$word" ]; then event "$started" "status" "$word"; last_word=$word; told=$SECONDS; fi
    if [ "$generation" = "$observed" ] && [ "$word" = Running ] && "$@"; then return; fi
    case $word in CreateFailed | UpdateFailed | Invalid) explain_failure; fail "the cluster's status is $word" ;; esac
    if (($(milliseconds) - started > seconds * 1000)); then explain_failure; fail "not done within $seconds s"; fi
    if ((SECONDS - told >= 15)); then told=$SECONDS; event "$started" "..." "still $word"; fi
    sleep 0.4
  done
}

# event START WHO WHAT
event() { printf '  %9s  %-15s %s\n' "$(seconds_since "$1")" "$2" "$3"; }

# explain_failure: what a person would look at first
explain_failure() {
  {
    kubectl --namespace "$DEMO_NAMESPACE" describe postgresql "$MANIFEST" | tail -n 30
    kubectl --namespace "$DEMO_NAMESPACE" get pods --output wide
    kubectl --namespace "$OPERATOR_NAMESPACE" logs deployment/postgres-operator --tail=20
  } >&2 || true
}

# all_members_ready IMAGE: every member runs it, or any where it is empty
all_members_ready() {
  local wanted=${1##*/} count
  count=$(kubectl --namespace "$DEMO_NAMESPACE" get postgresql "$MANIFEST" --output 'jsonpath={.spec.numberOfInstances}')
  [ "$(members | awk -F'|' -v image="$wanted" '$4 == "ready" && $2 ~ /^(primary|replica)$/ && (image == "" || $3 == image)' | wc -l)" = "$count" ]
}
