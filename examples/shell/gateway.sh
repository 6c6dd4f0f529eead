# What both scripts need. `usage WORD` prints how a script is called and ends it. `get MEMBER PATH NAME=VALUE...` prints
# the answer, which has that member where it is the gateway that answers, or says what is wrong and ends the script.
# curl itself waits as long as Retry-After says, on 429 (too many calls) and 503 (a source that is down).
answer=$(mktemp)
problem='select(has("code")) | "\(.status) \(.code): \(.detail)"'
trap 'rm -f "$answer"' EXIT

usage() {
  status=0
  [ "$1" = --help ] || {
    status=2
    exec >&2
  }
  sed -n -e 's/^# //p' -e 's/^#$//p' "$0"
  exit $status
}

get() {
  [ -n "${GATEWAY_URL:-}" ] && [ -n "${GATEWAY_KEY:-}" ] || {
    echo "set GATEWAY_URL (http://127.0.0.1:8000, say) and GATEWAY_KEY" >&2
    exit 1
  }
  member=$1 path=$2
  shift 2
  for parameter; do
    set -- "$@" --data-urlencode "$parameter"
    shift
  done
  # The key goes to curl on its standard input: a process list shows arguments to everybody on the machine. The answer
  # goes to a file: there, a second try replaces what came of the first.
  printf 'header = "Authorization: Bearer %s"\n' "$GATEWAY_KEY" |
    curl --config - --silent --get --retry 4 --fail-with-body --output "$answer" "$@" "$GATEWAY_URL$path" || {
    # 401: no such key. 422: a parameter is wrong, and `detail` says which and why. jq is content with no input at all,
    # so that an answer which never came must be looked for.
    { [ -s "$answer" ] && jq --exit-status --raw-output "$problem" "$answer" >&2 2>/dev/null; } ||
      echo "no answer from $GATEWAY_URL" >&2
    exit 1
  }
  jq --exit-status --arg member "$member" 'has($member)' "$answer" >/dev/null 2>&1 || {
    echo "no answer from $GATEWAY_URL: what answers is not the gateway" >&2
    exit 1
  }
  cat "$answer"
}
