#!/usr/bin/env bash
# Runs each script of this folder against bin/troupe and bin/troupectl: defects that were found once, each started on
# a node of its own. A script ends with "right:" or "DEFECT:". Scripts that mount a small disk run in a mount
# namespace of their own and need root.
set -uo pipefail
cd "$(dirname "$0")"
export TROUPE="${TROUPE:-$PWD/../../bin/troupe}" TROUPECTL="${TROUPECTL:-$PWD/../../bin/troupectl}"
failed=0
for script in ${*:-*.py}; do
  case "$script" in kit.py) continue ;; esac
  name="${script%.py}"
  command=(python3 "$script")
  if grep -q "unshare -m" "$script"; then
    if [ "$(id -u)" != 0 ]; then echo "SKIP   $name: needs root"; continue; fi
    command=(unshare -m "${command[@]}")
  fi
  last="$(timeout 300 "${command[@]}" 2>&1 | tail -1)"
  case "$last" in
    right:*) echo "right  $name ${last#right}" ;;
    *) echo "DEFECT $name: $last"; failed=1 ;;
  esac
done
exit $failed
