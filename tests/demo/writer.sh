#!/bin/bash
# writer.sh STOP_FILE: a client that writes until that file is there; it runs in the demo's client pod. One row after the other, each in a
# connection of its own as a simple application would make it. Each attempt is one line: seconds, number, ok or failed.
set -uo pipefail

# Where Services have no backends (light mode), the primary's address is asked for anew after each failure.
find_primary() {
  local namespace cluster
  [ -n "${PRIMARY_OF:-}" ] || return 0
  read -r namespace cluster <<<"$PRIMARY_OF"
  PGHOST=$(kubectl --namespace "$namespace" get pods --selector "cluster-name=$cluster,spilo-role=master" --output 'jsonpath={.items[*].status.podIP}')
  export PGHOST
}

number=0
while [ ! -e "$1" ]; do
  number=$((number + 1))
  # The deadline is for connections to a member that went without saying goodbye.
  if timeout 3 psql -XAtq -v ON_ERROR_STOP=1 -c "insert into writes (number) values ($number)" >/dev/null 2>&1; then
    result=ok
  else
    result=failed
  fi
  echo "${EPOCHREALTIME/,/.} $number $result"
  [ $result = ok ] || find_primary
  sleep 0.05
done
