#!/bin/sh
# An agent of kind "command" that plays every role of the workflow `ralph`, in POSIX sh and awk, without a model. It does
# what agent.py does; read that one first.
set -eu
LC_ALL=C
export LC_ALL
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
tab=$(printf '\t')

# ---- JSON in and out

# Flattens the JSON on stdin: a line `path<TAB>value` for every text, number and word, such as `tickets.0.id<TAB>BLOG-1`.
# Texts stay escaped, so each is one line; `plain` gives what they say.
flatten() {
    awk '
    { text = text $0 "\n" }
    function peek() { while (index(" \t\r\n", substr(text, at, 1)) && at <= length(text)) at++; return substr(text, at, 1) }
    function string(  from) {
        from = ++at
        while (substr(text, at, 1) != "\"") at += substr(text, at, 1) == "\\" ? 2 : 1
        return substr(text, from, at++ - from)
    }
    function value(path,  sign, key, n, from) {
        sign = peek()
        if (sign == "{" || sign == "[") {
            at++
            for (n = 0; peek() != "}" && peek() != "]"; n++) {
                key = n
                if (sign == "{") { key = string(); peek(); at++ }
                value(path == "" ? key : path "." key)
                if (peek() == ",") at++
            }
            at++
        } else if (sign == "\"") print path "\t" string()
        else {
            for (from = at; at <= length(text) && !index(",]} \t\r\n", substr(text, at, 1)); at++) ;
            print path "\t" substr(text, from, at - from)
        }
    }
    END { at = 1; value("") }'
}

# The text that JSON writes so, without its quotes. Characters beyond ASCII stand for themselves in what p0 writes.
plain() {
    awk '
    BEGIN { for (n = 1; n < 32; n++) control[sprintf("%04x", n)] = sprintf("%c", n) }
    {
        while (n = index($0, "\\")) {
            printf "%s", substr($0, 1, n - 1)
            sign = substr($0, n + 1, 1)
            if (sign == "u") { printf "%s", control[substr($0, n + 2, 4)]; n += 4 }
            else if (sign == "n") printf "\n"
            else if (sign == "t") printf "\t"
            else if (!index("bfr", sign)) printf "%s", sign
            $0 = substr($0, n + 2)
        }
        print
    }'
}

# A text (one line) as JSON writes it, without its quotes.
escaped() { printf '%s' "$1" | tr -d '\001-\010\012-\037' | sed "s/[\\\\\"]/\\\\&/g; s/$tab/\\\\t/g"; }

# A value of the input by its path; nothing for what is null or not there.
get() { awk -F "$tab" -v path="$1" '$1 == path && $2 != "null" { print $2; exit }' "$temp/input"; }

# Paths of files: all that stand at these places, such as `files.create files.modify`.
paths() { for place in "$@"; do awk -F "$tab" -v place="$place." 'index($1, place) == 1 { print $2 }' "$temp/input"; done | plain; }

# ---- the work

# What the spec asks for: lines `path<TAB>text`.
wanted() { get milestone.body | plain | sed -n "s/^- \`\([^\`]\{1,\}\)\`: \(.\{1,\}\)\$/\1$tab\2/p"; }

# The line that the spec asks for in a file; nothing if it says nothing about that file.
text_of() { path=$1 awk -F "$tab" '$1 == ENVIRON["path"] { print $2; exit }' "$temp/wanted"; }

# Whether a file has its line, whether or not that line is ended properly.
is_met() { [ -f "$1" ] && { printf '%s' "$2" | cmp -s - "$1" || printf '%s\n' "$2" | cmp -s - "$1"; }; }

ends_with_line_feed() { [ ! -s "$1" ] || [ "$(tail -c 1 "$1" | wc -l)" -eq 1 ]; }

plan() {
    tickets=0
    unfinished=0
    : >"$temp/owned"
    n=0
    while id=$(get "tickets.$n.id") && [ -n "$id" ]; do
        here=tickets.$n
        n=$((n + 1))
        [ "$(get "$here.status")" != "done" ] || continue
        unfinished=$((unfinished + 1))
        paths "$here.files.create" "$here.files.modify" >"$temp/files"
        cat "$temp/files" >>"$temp/owned"
        [ "$(get "$here.kind")" = feedback ] || continue
        # A finding: a fix for the files of it that the spec names, or a reason why not now.
        list=
        while read -r path; do
            if [ -n "$(text_of "$path")" ]; then list="$list${list:+,}\"$(escaped "$path")\""; fi
        done <"$temp/files"
        if [ -n "$list" ]; then
            printf '{"type":"ticket","kind":"fix","title":"Answer: %s","closes":["%s"],"files":{"modify":[%s]}}\n' \
                "$(get "$here.title")" "$id" "$list"
            tickets=$((tickets + 1))
        else
            printf '{"type":"defer","ticket":"%s","reason":"it is about no file of this spec"}\n' "$id"
        fi
    done
    while IFS=$tab read -r path text; do
        if is_met "$path" "$text" || grep -qxF -- "$path" "$temp/owned"; then continue; fi
        change=create
        if [ -e "$path" ]; then change=modify; fi
        printf '{"type":"ticket","title":"Write %s","body":"It holds the line: %s","files":{"%s":["%s"]}}\n' \
            "$(escaped "$path")" "$(escaped "$text")" "$change" "$(escaped "$path")"
        tickets=$((tickets + 1))
    done <"$temp/wanted"

    if [ ! -s "$temp/wanted" ]; then
        # shellcheck disable=SC2016 # backticks of the spec, not of the shell
        printf '{"type":"decision","decision":"stuck","reason":"the spec has no item of the form - `PATH`: TEXT"}\n'
    elif [ "$tickets$unfinished" = 00 ] && [ "$(get verdict.met)" = true ]; then
        printf '{"type":"decision","decision":"done","reason":"everything landed, and the verifier says it is met"}\n'
    else
        printf '{"type":"decision","decision":"continue","reason":"%s new tickets"}\n' "$tickets"
    fi
}

work() {
    paths files.create files.modify >"$temp/files"
    while read -r path; do
        text=$(text_of "$path")
        if [ -z "$text" ]; then
            printf '{"type":"status","status":"blocked","reason":"the spec says nothing about %s"}\n' "$(escaped "$path")"
            return
        fi
        mkdir -p "$(dirname "$path")"
        printf '%s\n' "$text" >"$path"
    done <"$temp/files"
    printf '{"type":"comment","text":"%s: round %s, as the spec says"}\n' "$(get ticket.id)" "$(get round)"
}

judge() {
    met=true
    gaps=
    while IFS=$tab read -r path text; do
        is_met "$path" "$text" && continue
        met=false
        gaps="$gaps${gaps:+,}\"$(escaped "$path") is not what the spec says\""
    done <"$temp/wanted"
    printf '{"type":"verdict","met":%s,"rationale":"every file was compared with the spec","gaps":[%s]}\n' "$met" "$gaps"
}

review() {
    while IFS=$tab read -r path _; do
        if [ ! -f "$path" ] || ends_with_line_feed "$path"; then continue; fi
        printf '{"type":"feedback","title":"%s does not end with a line feed","priority":"medium","category":"style","files":["%s"]}\n' \
            "$(escaped "$path")" "$(escaped "$path")"
    done <"$temp/wanted"
}

flatten >"$temp/input"
wanted >"$temp/wanted"
case $(get role) in
planner) plan ;;
executor) work ;;
verifier) judge ;;
*) review ;;
esac
