#!/bin/bash
# clone.sh PASSWORD_FILE HOST PORT USER --scope=NAME --datadir=FOLDER: Patroni's bootstrap method for CLONE_WITH_BASEBACKUP
password_file=$1 host=$2 port=$3 user=$4
shift 4
for argument in "$@"; do
  case $argument in --datadir=*) folder=${argument#*=} ;; esac
done
PGPASSFILE=$password_file exec pg_basebackup -D "$folder" -X stream -c fast -h "$host" -p "$port" -U "$user" -w
