#!/bin/bash
# writer.sh: a client that writes until it is told to stop; it runs in the demo's client pod. One row after the other, each in a
# connection of its own as a simple application would make it. Each attempt is one line: seconds, number, ok or failed.
set -uo pipefail

number=0
while [ ! -e /tmp/stop ]; do
  number=$((number + 1))
  # The deadline is for connections to a member that went without saying goodbye.
  if timeout 3 psql -XAtq -v ON_ERROR_STOP=1 -c "insert into writes (number) values ($number)" >/dev/null 2>&1; then
    result=ok
  else
    result=failed
  fi
  echo "${EPOCHREALTIME/,/.} $number $result"
  sleep 0.05
done
