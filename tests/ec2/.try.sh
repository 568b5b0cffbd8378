#!/bin/bash
# test.sh: tries the operator's calls to EC2 (feature `ec2`) against moto, a server that answers as EC2 does.
#
# moto comes from PyPI, in a version of its own below the local cluster's cache folder, and listens on 127.0.0.1. Its
# programs stay in the cache; the server ends with this script.
set -euo pipefail
REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
for file in messages settings requirements; do
  # shellcheck source=/dev/null
  source "$REPOSITORY/tests/local-cluster/lib/$file.sh"
done
# shellcheck disable=SC2034 # step() writes here
LOG_FOLDER=$REPOSITORY/target/demo/log
VERSION=5.2.5
MOTO_FOLDER=$CACHE_FOLDER/moto-$VERSION
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test

# install_moto: into a folder of another name first, so that one that is there is whole
install_moto() {
  [ ! -x "$MOTO_FOLDER/bin/moto_server" ] || return 0
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ]; then apt_install python3-venv; fi
  fi
  rm -rf "$MOTO_FOLDER"
  python3 -m venv "$MOTO_FOLDER"
  "$MOTO_FOLDER/bin/pip" install --quiet --disable-pip-version-check "moto[ec2,server]==$VERSION" || {
    rm -rf "$MOTO_FOLDER"
    return 1
  }
}

# start_moto: on a free port; AWS_ENDPOINT_URL_EC2 names it from then on
start_moto() {
  local log=$MOTO_FOLDER/log port tries
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  "$MOTO_FOLDER/bin/moto_server" --host 127.0.0.1 --port "$port" >"$log" 2>&1 </dev/null &
  MOTO=$!
  trap 'kill "$MOTO" 2>/dev/null || true' EXIT
  export AWS_ENDPOINT_URL_EC2=http://127.0.0.1:$port
  for ((tries = 0; tries < 300; tries++)); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
    kill -0 "$MOTO" 2>/dev/null || break
    sleep 0.2
  done
  fail "moto does not answer" "see $log"
}

# make_volume TYPE: the id of a new volume of 10 GiB
make_volume() {
  local id
  id=$("$MOTO_FOLDER/bin/python" -c '
import boto3, sys
ec2 = boto3.client("ec2", region_name="eu-central-1")
print(ec2.create_volume(AvailabilityZone="eu-central-1a", Size=10, VolumeType=sys.argv[1])["VolumeId"])' "$1")
  echo "$id"
}

step "installing moto $VERSION from PyPI" install_moto
start_moto
EC2_TEST_VOLUMES="$(make_volume gp2) $(make_volume gp3)"
export EC2_TEST_VOLUMES
cd "$REPOSITORY"
cargo test --locked --package operator --features ec2 --lib
cargo test --locked --no-fail-fast --package operator --features ec2 --test ec2
