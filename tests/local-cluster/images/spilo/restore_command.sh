#!/bin/sh
# restore_command.sh NAME FILE: one WAL file from the archive, under `envdir`. Its path is Spilo's: the operator writes it
# into Patroni's configuration of a standby cluster.
exec /scripts/wal.sh fetch "$1" "$2"
