#!/bin/sh
# Query the gateway with curl and jq: all matching events, their number, or one event.
#
#   ./events.sh all since=2026-05-01 type=recipient.signed type=envelope.completed > events.ndjson
#   ./events.sh count type=notification.failed
#   ./events.sh one EVENT_ID
set -eu
. "$(dirname "$0")/gateway.sh"

what=${1:-}
[ "$what" != one ] || [ $# -eq 2 ] || usage "$what"
[ $# -eq 0 ] || shift
case $what in
one)
  page=$(get id "/events/$1")
  printf '%s\n' "$page" | jq .
  ;;
count)
  page=$(get value /events/count exact=true "$@")
  printf '%s\n' "$page" | jq .value
  ;;
all)
  page=$(get page /events limit=200 "$@")
  while :; do
    printf '%s\n' "$page" | jq --compact-output '.data[]'
    cursor=$(printf '%s\n' "$page" | jq --raw-output '.page.next_cursor // empty')
    [ -n "$cursor" ] || break
    page=$(get page /events "cursor=$cursor") # which contains the filters
  done
  ;;
*) usage "$what" ;;
esac
