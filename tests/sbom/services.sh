# shellcheck shell=bash
# What is installed in a cluster.
# shellcheck disable=SC2034 # read by those who source it
SERVICES=(operator webhook certs)
