#!/bin/bash
# root_filesystem.sh OUT.tar: the big layer of the database and the pooler image, from Debian packages.
#
# Debian forky (PostgreSQL 18, Patroni 4, PgBouncer) with PostgreSQL 17 from trixie and 15 from bookworm beside it, so
# that major upgrades can be tried. One run of mmdebstrap resolves over the three suites. The mirror is the one that
# this machine's own apt uses.
# shellcheck disable=SC2016 # the hooks below run inside mmdebstrap, whose $1 is the new system's root
set -euo pipefail
out=$1

packages=(
  ca-certificates curl dumb-init jq locales openssl procps wget
  patroni pgbouncer python3-psycopg2 python3-urllib3 python3-yaml
  postgresql-18 postgresql-18-cron postgresql-18-partman postgresql-17 postgresql-15
  # archives of WAL and base backups, and a store for them to be tried with
  barman-cli-cloud daemontools python3-boto3 python3-moto python3-flask python3-flask-cors
)
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/\?$') || {
  echo "apt on this machine has no Debian mirror: add one to its sources" >&2
  exit 1
}

# Early, before any package brings its own: Spilo's user and group ids, which the operator writes into pod specs.
# (A minimal system has no useradd at that stage.)
fixed_user='
echo postgres:x:103: >>"$1/etc/group"
echo postgres:x:101:103::/home/postgres:/bin/bash >>"$1/etc/passwd"
mkdir -p "$1/home/postgres"
chown 101:103 "$1/home/postgres"'
no_default_server='
mkdir -p "$1/etc/postgresql-common"
echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"'
locale='
echo "en_US.UTF-8 UTF-8" >"$1/etc/locale.gen"
chroot "$1" locale-gen'
# The just-in-time compiler is 270 MB and no test needs it.
# boto3 describes every service of Amazon's in 100 MB of JSON; archives need two of them.
smaller='
find "$1"/usr/lib/python3/dist-packages/botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts -exec rm -r {} +
rm -rf "$1"/usr/lib/*/libLLVM* "$1"/usr/lib/*/libz3* "$1"/usr/lib/llvm-* "$1"/usr/lib/postgresql/*/lib/llvmjit*
rm -rf "$1"/var/cache/* "$1"/var/lib/apt/lists/*'
# As in Spilo: an arbitrary user id of the postgres group may enter itself into /etc/passwd and write below /run.
writable='
chmod 664 "$1/etc/passwd"
chgrp 103 "$1/etc/passwd"
chmod 1777 "$1/run"
mkdir -p "$1/scripts" "$1/home/postgres/pgdata" "$1/run/postgresql"
chroot "$1" chown postgres: /home/postgres/pgdata /run/postgresql'

# A mirror that is a frozen copy serves testing's Release file beyond its date, hence Check-Valid-Until.
# mmdebstrap makes an archive only where the name ends in .tar.
mmdebstrap --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" \
  --aptopt='Acquire::Check-Valid-Until "false"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/lib/postgresql/*/lib/bitcode/*' \
  --essential-hook="$fixed_user" --essential-hook="$no_default_server" \
  --customize-hook="$locale" --customize-hook="$smaller" --customize-hook="$writable" \
  forky "${out%.tar}.part.tar" "deb $mirror forky main" "deb $mirror trixie main" "deb $mirror bookworm main"
mv "${out%.tar}.part.tar" "$out"
