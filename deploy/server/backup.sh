#!/bin/sh
# Copy the store of a running `foxhooks up` and prove that the copy can be restored. Keeps the last 14 copies.
#
#   backup.sh DATA BACKUPS        DATA is FOXHOOKS_DATA, such as /var/lib/foxhooks
#
# Take the newest copy off the machine afterwards: a copy on the same disk does not survive the disk.
# To restore: stop foxhooks, put the folder appendonlydir of a copy in place of the one in DATA, start foxhooks, and run
# `foxhooks store restored`. docs/durability.md explains what happens then.
set -eu

data=${1:?usage: backup.sh DATA BACKUPS}
backups=${2:?usage: backup.sh DATA BACKUPS}
keep=14

[ -d "$data/appendonlydir" ] || { echo "there is no store in $data: it has no folder appendonlydir" >&2; exit 1; }
copy="$backups/$(date -u +%Y-%m-%dT%H%M%SZ)"
mkdir -p "$copy"
trap 'rm -rf "$copy"' EXIT

# The server only appends to these files, but now and then replaces all of them (a rewrite). A copy is complete if the
# list of files did not change meanwhile; a last command that was copied in part is dropped when the copy is loaded.
attempt=0
while :; do
    before=$(cat "$data"/appendonlydir/*.manifest)
    rm -rf "$copy/appendonlydir"
    if cp -R "$data/appendonlydir" "$copy/" 2>/dev/null && [ "$before" = "$(cat "$data"/appendonlydir/*.manifest)" ]; then
        break
    fi
    attempt=$((attempt + 1))
    [ "$attempt" -lt 5 ] || { echo "the store was rewritten during each of 5 attempts; try again later" >&2; exit 1; }
done

foxhooks store verify "$copy"
trap - EXIT
echo "kept $copy"

# Delete older copies, which have names that sort by time.
find "$backups" -mindepth 1 -maxdepth 1 -type d -name '20*Z' | sort -r | tail -n +$((keep + 1)) | while read -r old; do
    rm -rf "$old"
done
