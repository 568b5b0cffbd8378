#!/bin/bash
# images.sh: builds the services' programs and packs each as an image archive in target/demo/images, as `docker load`,
# `kind load image-archive` and the local cluster take them. Nothing is in an image but one static program.
set -euo pipefail
# shellcheck source=tests/demo/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# shellcheck disable=SC2034 # read by install_packages
REQUIREMENTS=(
  cc:gcc /usr/include/stdlib.h:libc6-dev ld.lld:lld strip:binutils python3:python3
)

check_tools() {
  command -v cargo >/dev/null || fail "cargo is missing" "install Rust, see rust-version in Cargo.toml, and have it in PATH"
  if [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ]; then install_packages; fi
}

build_programs() {
  local arguments=() service
  for service in "${SERVICES[@]}"; do arguments+=(--package "$service"); done
  cd "$REPOSITORY"
  cargo build --locked --profile "$PROFILE" "${arguments[@]}"
}

# program_folder: where cargo puts them. The target is named explicitly (.cargo/config.toml), hence the host's folder.
program_folder() {
  local target folder=$PROFILE
  target=$(cd "$REPOSITORY" && cargo metadata --format-version 1 --no-deps --offline | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
  [ "$PROFILE" != dev ] || folder=debug
  echo "$target/$(rustc -vV | sed -n 's/^host: //p')/$folder"
}

# pack SERVICE PROGRAM: without symbols, they are most of a development build's size
pack() {
  local stripped=$ARCHIVE_FOLDER/program/$1
  mkdir -p "$ARCHIVE_FOLDER/program"
  strip -o "$stripped" "$2"
  "$LOCAL_CLUSTER" service-image "localhost/postgres-operator/$1:dev" "$stripped" "$ARCHIVE_FOLDER/$1.tar" >/dev/null
  sha256sum "$stripped" | cut -c1-16 >"$ARCHIVE_FOLDER/$1.digest"
}

# check_size SERVICE: an image for real use is pulled by every node that starts a pod of it
MOST_BYTES=25000000
check_size() {
  local bytes
  [ "$PROFILE" = release ] || return 0
  bytes=$(stat --format=%s "$ARCHIVE_FOLDER/$1.tar")
  ((bytes < MOST_BYTES)) || fail "the image of $1 has $bytes bytes" "at most $MOST_BYTES: what has made it grow?"
}

check_tools
step "building the services ($PROFILE profile)" build_programs
folder=$(program_folder)
for service in "${SERVICES[@]}"; do pack "$service" "$folder/$service" && check_size "$service"; done
say "image archives: $(cd "$ARCHIVE_FOLDER" && du -h -- *.tar | awk '{print $2 " " $1}' | paste -sd, | sed 's/,/, /g') in $ARCHIVE_FOLDER"
