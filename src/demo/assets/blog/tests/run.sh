#!/bin/sh
# Runs every tests/*_test.sh, each in an empty folder of its own, and prints TAP. Exits with 1 when anything fails.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf -- "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
export root

# All of them side by side.
for test in "$root"/tests/*_test.sh; do
    name=${test##*/}
    mkdir "$scratch/$name"
    (
        cd "$scratch/$name" || exit 1
        # A test that stops halfway has not passed, whatever it printed before.
        sh "$test" >../"$name.output" 2>&1 || : >../"$name.failed"
    ) &
done
wait

count=0
failed=0
for test in "$root"/tests/*_test.sh; do
    name=${test##*/}
    printf '# %s\n' "$name"
    [ ! -e "$scratch/$name.failed" ] || failed=$((failed + 1))
    while IFS= read -r line; do
        case $line in
        'ok '*)
            count=$((count + 1))
            printf 'ok %s - %s\n' "$count" "${line#ok }"
            ;;
        'not ok '*)
            count=$((count + 1))
            printf 'not ok %s - %s\n' "$count" "${line#not ok }"
            ;;
        *) printf '# %s\n' "$line" ;;
        esac
    done <"$scratch/$name.output"
done
printf '1..%s\n' "$count"
if [ "$failed" -gt 0 ]; then
    printf '# %s test files failed\n' "$failed"
    exit 1
fi
