# shellcheck shell=bash
# Progress and errors. Everything here goes to standard error: standard output belongs to the verbs' own results.

# say TEXT...: one line of progress.
say() { printf '%s\n' "$*" >&2; }

# fail TEXT [REMEDY]: ends the whole program, with what to do about it on a line of its own.
fail() {
  printf 'local-cluster: %s\n' "$1" >&2
  [ -z "${2:-}" ] || printf '  what helps: %s\n' "$2" >&2
  exit 1
}

# milliseconds: the machine's clock. Steps are timed with it, so no external program has to calculate.
milliseconds() { local now=${EPOCHREALTIME/[.,]/}; echo "$((now / 1000))"; }

# seconds_since START: a duration for people, "7.3 s" or "4 min 05 s".
seconds_since() {
  local elapsed=$(($(milliseconds) - $1))
  if ((elapsed < 100000)); then
    printf '%d.%d s' $((elapsed / 1000)) $((elapsed % 1000 / 100))
  else
    printf '%d min %02d s' $((elapsed / 60000)) $((elapsed % 60000 / 1000))
  fi
}

# step TITLE COMMAND...: runs a long command with its output in a log file of its own, so that the terminal shows what
# is being done, for how long already, and where to look. A failure shows the end of that log.
step() {
  local title=$1 started log ticker status=0
  shift
  started=$(milliseconds)
  log="$LOG_FOLDER/${title//[^a-zA-Z0-9]/-}.log"
  mkdir -p "$LOG_FOLDER"
  say "$title ..."
  (
    # Fresh every 15 seconds, also where the output is no terminal: a CI job that says nothing looks dead.
    while sleep 15 && [ -e "/proc/$$" ]; do say "$title ... $(seconds_since "$started") so far; details: $log"; done
  ) &
  ticker=$!
  # In the foreground, so that Ctrl-C reaches it. Not with `||`, which would switch off `errexit` inside.
  set +e
  (set -e; "$@") >"$log" 2>&1 </dev/null
  status=$?
  set -e
  stop_ticker "$ticker"
  if ((status != 0)); then
    tail -n 25 "$log" >&2
    fail "$title failed after $(seconds_since "$started") (all of its output: $log)" "run the same command again once the cause is gone; what is finished is not done twice"
  fi
  say "$title: done in $(seconds_since "$started")"
}

# stop_ticker PID: ends the progress subshell and the `sleep` it waits for.
stop_ticker() {
  local children
  children=$(cat "/proc/$1/task/$1/children" 2>/dev/null) || children=
  # shellcheck disable=SC2086 # a list of pids
  kill "$1" $children 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}
