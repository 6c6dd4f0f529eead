# What both scripts need: `get PATH NAME=VALUE...` prints the answer, or says what is wrong and ends the script.
# curl itself waits as long as Retry-After says, on 429 (too many calls) and 503 (a source that is down).
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

get() {
  path=$1
  shift
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
    { [ -s "$answer" ] && jq --raw-output '"\(.status) \(.code): \(.detail)"' "$answer" >&2 2>/dev/null; } ||
      echo "no answer from $GATEWAY_URL" >&2
    exit 1
  }
  cat "$answer"
}
