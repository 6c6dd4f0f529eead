#!/bin/sh
# Append what is new to a file; a cron job, say. The cursor is kept beside it.
#
#   ./follow.sh trail.ndjson since=2026-05-01      # the first time: from there on; later it goes on by itself
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
while :; do
  page=$(get page /events "$@")
  printf '%s\n' "$page" | jq --compact-output '.data[]' >>"$trail"
  # Replaced in one step: whoever is stopped in between has this page twice, and never misses one.
  printf '%s\n' "$page" | jq --raw-output .page.next_cursor >"$trail.cursor.new"
  mv "$trail.cursor.new" "$trail.cursor"
  [ "$(printf '%s\n' "$page" | jq .page.has_more)" = true ] || break
  set -- "cursor=$(cat "$trail.cursor")"
done
