#!/bin/bash
# basebackup.sh --datadir=FOLDER --connstring=TEXT ...: Patroni's method `basebackup_fast_xlog`, which is the name that the
# operator writes into the configuration of a standby cluster. The password comes from PGPASSFILE.
for argument in "$@"; do
  case $argument in
    --datadir=*) folder=${argument#*=} ;;
    --connstring=*) source=${argument#*=} ;;
  esac
done
if [ -z "$source" ]; then exit 1; fi # nobody to copy from
exec pg_basebackup -D "$folder" -X stream -c fast -d "$source" -w
