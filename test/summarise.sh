#!/usr/bin/env bash
# usage: summarise.sh COMMAND...
# Runs a command that runs tests. At the end it says in one line for each reason which tests were
# skipped because something is absent on this machine (test/kit/absent). Its exit code is the command's.
set -uo pipefail
report=$(mktemp)
trap 'rm -f "$report"' EXIT
TROUPE_ABSENT_REPORT=$report "$@"
code=$?
sort -u "$report" | awk -F '\t' '
  $1 != reason { if (reason != "") print line; reason = $1; line = "NOT RUN, because " reason ": " $2; next }
  { line = line ", " $2 }
  END { if (reason != "") print line }'
exit "$code"
