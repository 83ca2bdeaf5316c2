#!/bin/sh
# What p0 does with git for each no-op ticket, by hand: a worktree, the agent in it, a commit, the commit onto the
# branch, the worktree gone. `--ff-only` is the cheapest way onto a branch: nothing is merged.
# Usage: by_hand.sh REPO COMMIT BRANCH SCRATCH AGENT TICKETS
set -eu
repo=$1 commit=$2 branch=$3 scratch=$4 agent=$5 tickets=$6

mkdir -p "$scratch"
git -C "$repo" worktree add -q -b "$branch" "$scratch/main" "$commit"
n=1
while [ "$n" -le "$tickets" ]; do
    tree=$scratch/t$n
    git -C "$repo" worktree add -q --detach "$tree" "$branch"
    (cd "$tree" && P0_ROLE=executor P0_TICKET=HAND-$n sh "$agent" - /dev/null)
    git -C "$tree" add -A
    git -C "$tree" commit -q -m "HAND-$n: Ticket $n"
    git -C "$scratch/main" merge -q --ff-only "$(git -C "$tree" rev-parse HEAD)"
    git -C "$repo" worktree remove "$tree"
    n=$((n + 1))
done
git -C "$repo" worktree remove "$scratch/main"
