#!/bin/sh
# Append new events to a file, one JSON object a line; run it from cron. The cursor is in FILE.cursor.
#
#   ./follow.sh trail.ndjson since=2026-05-01      # the first run starts there; later runs resume
set -eu
. "$(dirname "$0")/gateway.sh"

case ${1:-} in '' | --help) usage "${1:-}" ;; esac
trail=$1
shift
if [ -e "$trail.cursor" ]; then
  set -- "cursor=$(cat "$trail.cursor")"
else
  set -- follow=true order=asc limit=200 "$@"
fi
# End an incomplete line of a killed run.
[ ! -s "$trail" ] || [ -z "$(tail -c 1 "$trail")" ] || echo >>"$trail"
while :; do
  page=$(get page /events "$@")
  printf '%s\n' "$page" | jq --compact-output '.data[]' >>"$trail"
  # The cursor moves last and atomically: after a kill, the next run repeats this page and misses none.
  printf '%s\n' "$page" | jq --raw-output .page.next_cursor >"$trail.cursor.new"
  mv "$trail.cursor.new" "$trail.cursor"
  [ "$(printf '%s\n' "$page" | jq .page.has_more)" = true ] || break
  set -- "cursor=$(cat "$trail.cursor")"
done
