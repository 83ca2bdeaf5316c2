# Small helpers for every command. Loaded by bin/blog, never run by itself.

# Ends the program with a sentence for a person.
die() {
    printf 'blog: %s\n' "$1" >&2
    exit 1
}

# A title as a name for files and links: "Hello, World!" becomes hello-world.
slug() {
    printf '%s\n' "$1" | tr '[:upper:]' '[:lower:]' | tr -cs 'a-z0-9' '-' | sed 's/^-*//; s/-*$//'
}
