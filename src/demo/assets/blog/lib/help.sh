# blog help: the commands there are, each with the first line of its file.

cmd_help() {
    printf 'usage: blog COMMAND\n\n'
    for file in "$lib"/*.sh; do
        sed -n '1s/^# blog /  blog /p' "$file"
    done
}
