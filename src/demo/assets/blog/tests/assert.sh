# What every test begins with. It runs in an empty folder of its own; $root is the repository.
set -u
failures=0

blog() {
    sh "$root/bin/blog" "$@"
}

# A post to test with: post NAME DATE TITLE BODY
post() {
    mkdir -p posts
    printf 'title: %s\ndate: %s\n\n%s\n' "$3" "$2" "$4" >"posts/$1.txt"
}

# same WHAT EXPECTED ACTUAL
same() {
    if [ "$2" = "$3" ]; then
        printf 'ok %s\n' "$1"
    else
        failures=$((failures + 1))
        printf 'not ok %s\nexpected: %s\nactual:   %s\n' "$1" "$2" "$3"
    fi
}

# holds WHAT COMMAND...: the command succeeds.
holds() {
    what=$1
    shift
    if "$@" >/dev/null 2>&1; then same "$what" yes yes; else same "$what" yes no; fi
}

# fails WHAT COMMAND...: the command does not.
fails() {
    what=$1
    shift
    if "$@" >/dev/null 2>&1; then same "$what" no yes; else same "$what" no no; fi
}

# The last line of every test.
finish() {
    [ "$failures" -eq 0 ] || exit 1
    exit 0
}
