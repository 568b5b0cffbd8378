# shellcheck shell=bash
# Processes: each long-running one has a file with its pid and its start time, and is ended by that pid only. The start
# time (of /proc/PID/stat) tells it from a stranger that got the same pid later, after a reboot for example.

# start_time PID: prints nothing where there is no such process. A zombie counts as none: a container's first process
# may reap late, or never.
start_time() {
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  read -ra fields <<<"${stat##*) }" # after the name, which may contain anything
  [ "${fields[0]}" = Z ] || echo "${fields[19]}"
}

# running_pid NAME: the pid of a process of ours; fails where it does not run.
running_pid() {
  local pid started
  read -r pid started 2>/dev/null <"$PID_FOLDER/$1" || return 1
  [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}

is_running() { running_pid "$1" >/dev/null; }

# start_process NAME COMMAND...: in a session of its own (Ctrl-C does not reach it), unless it runs already. The process
# writes its own pid file before it becomes COMMAND, so no interruption of ours can leave an unknown process.
start_process() {
  local name=$1 attempt
  shift
  is_running "$name" && return
  mkdir -p "$PID_FOLDER" "$LOG_FOLDER"
  rm -f "$PID_FOLDER/$name"
  # shellcheck disable=SC2016 # expanded by the inner shell
  setsid bash -c '
    read -r stat </proc/self/stat
    read -ra fields <<<"${stat##*) }"
    echo "$$ ${fields[19]}" >"$1.part"
    mv "$1.part" "$1"
    shift
    exec "$@"' _ "$PID_FOLDER/$name" "$@" >>"$LOG_FOLDER/$name.log" 2>&1 </dev/null {CLUSTER_LOCK}>&- {CACHE_LOCK}>&- &
  for ((attempt = 0; attempt < 500; attempt++)); do
    [ -s "$PID_FOLDER/$name" ] && return
    sleep 0.01
  done
  fail "$name did not start" "look at $LOG_FOLDER/$name.log"
}

# signal_process NAME SIGNAL: nothing where it does not run.
signal_process() {
  local pid
  if pid=$(running_pid "$1"); then kill "-$2" "$pid" 2>/dev/null || true; fi
}

# wait_for_end NAME SECONDS: fails where it still runs after that time.
wait_for_end() {
  local attempt
  for ((attempt = 0; attempt < $2 * 20; attempt++)); do
    is_running "$1" || return 0
    sleep 0.05
  done
  ! is_running "$1"
}

# stop_process NAME SECONDS: TERM, after that time KILL.
stop_process() {
  signal_process "$1" TERM
  if ! wait_for_end "$1" "$2"; then
    signal_process "$1" KILL
    wait_for_end "$1" 5 || fail "process $(running_pid "$1") ($1) does not end, not even by SIGKILL" "see /proc/$(running_pid "$1")/stack for what it waits for"
  fi
  rm -f "$PID_FOLDER/$1"
}

# Closed in every process that is started: open from the beginning, so that they always can be.
exec {CLUSTER_LOCK}</dev/null {CACHE_LOCK}</dev/null

# lock_cluster: one command at a time may change this cluster. A lock goes with its process, however that ends.
lock_cluster() {
  mkdir -p "$CACHE_FOLDER/locks"
  exec {CLUSTER_LOCK}>"$CACHE_FOLDER/locks/cluster-$CLUSTER_NAME"
  wait_for_lock "$CLUSTER_LOCK" "cluster $CLUSTER_NAME"
}

# lock_cache: several clusters share the cache; while one builds or copies, the others wait.
lock_cache() {
  mkdir -p "$CACHE_FOLDER/locks"
  exec {CACHE_LOCK}>"$CACHE_FOLDER/locks/cache"
  wait_for_lock "$CACHE_LOCK" "the cache"
}

unlock_cache() { exec {CACHE_LOCK}>&-; exec {CACHE_LOCK}</dev/null; }

wait_for_lock() {
  flock -n "$1" && return
  say "another local-cluster command is at work on $2: waiting for it ..."
  flock "$1"
}
