#!/bin/bash
# post_init.sh HUMAN_ROLE CONNECTION: called by Patroni after initdb. The roles that an operator expects to find.
psql -X -v ON_ERROR_STOP=1 -v human_role="$1" -d "$2" <<'SQL'
SET synchronous_commit = local;
SELECT format('CREATE ROLE %I', name)
  FROM unnest(ARRAY['admin', 'cron_admin', 'robot_zmon', :'human_role']) AS name
 WHERE name NOT IN (SELECT rolname FROM pg_roles) \gexec
ALTER ROLE admin CREATEDB;
GRANT cron_admin TO admin;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA public;
SQL
