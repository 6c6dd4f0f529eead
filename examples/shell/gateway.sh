# Functions of both scripts. `usage WORD` prints the usage and exits. `get MEMBER PATH NAME=VALUE...` prints the response,
# which must have that member, or prints the error and exits. curl waits for Retry-After on 429 (too many calls) and 503
# (a source is down).
answer=$(mktemp)
problem='select(has("code")) | "\(.status) \(.code): \(.detail)"'
trap 'rm -f "$answer"' EXIT

usage() {
  status=0
  [ "$1" = --help ] || {
    status=2
    exec >&2
  }
  sed -n -e '/^set /q' -e 's/^# //p' -e 's/^#$//p' "$0"
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
  # The key goes to curl on its standard input, because a process list shows arguments to all users. The response goes to
  # a file, where a retry replaces an incomplete response.
  printf 'header = "Authorization: Bearer %s"\n' "$GATEWAY_KEY" |
    curl --config - --silent --get --retry 4 --fail-with-body --output "$answer" "$@" "$GATEWAY_URL$path" || {
    # 401: invalid key. 422: invalid parameter, explained in `detail`. jq accepts empty input, hence the check for a
    # response.
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
