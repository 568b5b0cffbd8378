# shellcheck shell=bash
# Images: built here, from Debian packages and this folder, and brought into containerd without a registry.

# is_current FILE VERSION: a built file is used again while what it was built from is the same
is_current() { [ -f "$1" ] && [ "$(cat "$1.version" 2>/dev/null)" = "$2" ]; }

# version_of TEXT FILE...: changes with the text and with the files
version_of() {
  local text=$1
  shift
  { echo "$text"; cat "$@"; } | sha256sum | cut -d' ' -f1
}

make_images() {
  mkdir -p "$IMAGE_FOLDER" "$IMAGE_WORK_FOLDER"
  make_pause_image
  make_root_filesystem
  make_more_versions
  make_database_images
  make_template
}

make_pause_image() {
  local archive=$IMAGE_FOLDER/pause.tar source=$PROJECT_FOLDER/images/pause/pause.c version
  version=$(version_of '' "$source" "$LIBRARY_FOLDER/pack_image.py")
  is_current "$archive" "$version" && return
  gcc -Os -static -s -o "$IMAGE_WORK_FOLDER/pause" "$source"
  pack_image "$archive" --image localhost/pause:1 --entrypoint /pause --file "$IMAGE_WORK_FOLDER/pause=/pause" >/dev/null
  echo "$version" >"$archive.version"
}

make_root_filesystem() {
  local archive=$IMAGE_WORK_FOLDER/root-filesystem.tar script=$PROJECT_FOLDER/images/spilo/root_filesystem.sh version
  version=$(version_of '' "$script")
  is_current "$archive" "$version" && return
  check_disk 3000
  step "making the images' file system from Debian packages" "$script" "$archive"
  echo "$version" >"$archive.version"
}

make_more_versions() {
  local archive=$IMAGE_WORK_FOLDER/more-versions.tar folder=$PROJECT_FOLDER/images/spilo version
  version=$(version_of "$(command -v npm >/dev/null && echo npm)" "$folder/more_versions.sh" "$folder/restore_links.py")
  is_current "$archive" "$version" && return
  command -v npm >/dev/null || say "npm is missing: the database image has PostgreSQL 15, 17 and 18, but not 14 and 16"
  step "adding PostgreSQL 14 and 16" "$folder/more_versions.sh" "$archive"
  echo "$version" >"$archive.version"
}

make_database_images() {
  local archive=$IMAGE_FOLDER/databases.tar images=$PROJECT_FOLDER/images file names version arguments=()
  for file in "${SPILO_IMAGES[@]}"; do arguments+=(--image "$file=/bin/sh,/launch.sh,init"); done
  for file in "${POOLER_IMAGES[@]}"; do arguments+=(--image "$file=/usr/bin/dumb-init,--,/entrypoint.sh"); done
  for file in "${BACKUP_IMAGES[@]}"; do arguments+=(--image "$file=/usr/bin/dumb-init,--,/dump.py"); done
  names="${arguments[*]}"
  version=$(version_of "$names" "$images"/{spilo,pooler,backup}/* "$LIBRARY_FOLDER/pack_image.py" "$IMAGE_WORK_FOLDER"/*.tar.version)
  is_current "$archive" "$version" && return
  for file in configure.py archives.py archive.py wal.sh restore_command.sh basebackup.sh post_init.sh clone.sh inplace_upgrade.py rejoin.py; do
    arguments+=(--file "$images/spilo/$file=/scripts/$file")
  done
  step "packing the images of databases, pooler and backups" pack_image "$archive" "${arguments[@]}" \
    --file "$images/spilo/launch.sh=/launch.sh" --file "$images/pooler/entrypoint.sh=/entrypoint.sh" \
    --file "$images/backup/dump.py=/dump.py" \
    --workdir /home/postgres --path "$STANDARD_PATH:/usr/lib/postgresql/18/bin" \
    --env LC_ALL=en_US.utf-8 --env PGHOME=/home/postgres --env RW_DIR=/run \
    --env PGROOT=/home/postgres/pgdata/pgroot --env PGDATA=/home/postgres/pgdata/pgroot/data \
    --env PGLOG=/home/postgres/pgdata/pgroot/pg_log --env WALE_ENV_DIR=/run/etc/wal-e.d/env \
    --layer "$IMAGE_WORK_FOLDER/root-filesystem.tar" --layer "$IMAGE_WORK_FOLDER/more-versions.tar"
  echo "$version" >"$archive.version"
}

STANDARD_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# pack_image ARCHIVE ARGUMENTS...
pack_image() { python3 "$LIBRARY_FOLDER/pack_image.py" "$@"; }

# pack_service_image NAME BINARY ARCHIVE: nothing in it but the program
pack_service_image() {
  local program
  program=/$(basename "$2")
  [ -x "$2" ] || fail "$2 is no executable file" "build it first"
  if ldd "$2" >/dev/null 2>&1 && ! ldd "$2" | grep -q 'statically linked'; then
    fail "$2 needs shared libraries, and the image has none" "link it statically, for example for the target x86_64-unknown-linux-musl"
  fi
  pack_image "$3" --image "$1" --entrypoint "$program" --file "$2=$program" --user 65532:65532 --path /
}

# make_template: all archives, imported once into a containerd folder of its own. A new node starts with a copy of it
# made of hard links: under a second and no room, against 12 s and 700 MB for each node.
make_template() {
  local version
  version=$(version_of '' "$IMAGE_FOLDER"/*.tar.version)
  is_current "$TEMPLATE_FOLDER/complete" "$version" && return
  step "importing the images into a template for the nodes" import_template
  touch "$TEMPLATE_FOLDER/complete"
  echo "$version" >"$TEMPLATE_FOLDER/complete.version"
}

import_template() {
  rm -rf "$TEMPLATE_FOLDER"
  mkdir -p "$TEMPLATE_FOLDER/root"
  cat >"$TEMPLATE_FOLDER/containerd.toml" <<CONFIG
version = 2
root = "$TEMPLATE_FOLDER/root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "/run/containerd/containerd.sock"
CONFIG
  # in namespaces of its own: the private /run keeps it apart from any other containerd of this machine
  # shellcheck disable=SC2016 # expanded by the inner shell
  unshare --mount --propagation slave --pid --fork --kill-child=SIGKILL --mount-proc bash -euc '
    mount -t tmpfs tmpfs /run
    containerd --config "$1/containerd.toml" &
    until ctr version >/dev/null 2>&1; do kill -0 $! && sleep 0.1; done
    for archive in "$2"/*.tar; do ctr --namespace k8s.io images import "$archive"; done
    kill $!
    wait $! || true' _ "$TEMPLATE_FOLDER" "$IMAGE_FOLDER"
}

# copy_template NODE_FOLDER: for a new node. containerd only reads what is linked (layers are the lower directories of
# overlay mounts), but its databases have to be copies.
copy_template() {
  local root=$1/containerd template=$TEMPLATE_FOLDER/root database
  rm -rf "$root" "$root.part"
  cp --archive --link "$template" "$root.part" 2>/dev/null || {
    rm -rf "$root.part" # another disk than the cache's
    cp --archive "$template" "$root.part"
  }
  (cd "$template" && find . -name '*.db') | while read -r database; do
    cp --remove-destination "$template/$database" "$root.part/$database"
  done
  mv "$root.part" "$root"
  cp "$TEMPLATE_FOLDER/complete.version" "$1/images"
}

# import_image NODE ARCHIVE: through standard input, so the archive may lie where the node sees nothing
import_image() {
  in_node "$1" ctr --address /run/containerd/containerd.sock --namespace k8s.io images import - <"$2"
}

# import_everywhere ARCHIVE: into all running nodes
import_everywhere() {
  local name imports=() import
  [ -r "$1" ] || fail "there is no image archive $1"
  for name in $(running_nodes); do
    import_image "$name" "$1" &
    imports+=($!)
  done
  [ ${#imports[@]} -gt 0 ] || fail "no node is running" "start the cluster: local-cluster up"
  for import in "${imports[@]}"; do wait "$import" || fail "$1 was not imported" "is it an image archive, as 'docker save' or 'service-image' writes it?"; done
}

# refresh_images: nodes that were made before the images were built anew get them
refresh_images() {
  local name folder archive
  for name in $(running_nodes); do
    folder=$(node_folder "$name")
    cmp -s "$folder/images" "$TEMPLATE_FOLDER/complete.version" && continue
    for archive in "$IMAGE_FOLDER"/*.tar; do step "importing $(basename "$archive") into $name" import_image "$name" "$archive"; done
    cp "$TEMPLATE_FOLDER/complete.version" "$folder/images"
  done
}
