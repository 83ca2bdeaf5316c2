#!/usr/bin/env python3
"""An agent of kind "command" that plays every role of the workflow `ralph`, without a model.

p0 starts it once per attempt, with one JSON object on stdin (schemas/agent-input.json) and a worktree of its own as
working directory. It prints messages, one JSON object per line (schemas/agent-message.json); any other line is log.
Replace `plan`, `work`, `judge` and `review` by calls of your model.
"""

import json
import os
import re
import sys


def say(message, /, **fields):
    print(json.dumps({"type": message, **fields}), flush=True)


def wanted_files(spec):
    """What the spec asks for: path -> the file's one line of text."""
    return dict(re.findall(r"^- `([^`]+)`: (.+)$", spec, re.MULTILINE))


def content(path):
    """What the worktree holds at this path, or None."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None


def is_met(path, text):
    """Whether the file has its line. Whether that line is ended properly is the specialist's question."""
    return (content(path) or "").removesuffix("\n") == text


def plan(task, wanted):
    """The planner proposes tickets, answers findings, and decides. Its messages are applied together, or not at all."""
    unfinished = [ticket for ticket in task["tickets"] if ticket["status"] != "done"]
    findings = [ticket for ticket in unfinished if ticket["kind"] == "feedback"]
    owned = {path for ticket in unfinished for path in ticket["files"]["create"] + ticket["files"]["modify"]}
    tickets = 0

    for finding in findings:
        files = [path for path in finding["files"]["create"] + finding["files"]["modify"] if path in wanted]
        if files:
            fix = {"create": [], "modify": files}
            say("ticket", kind="fix", title=f"Answer: {finding['title']}", closes=[finding["id"]], files=fix)
            tickets += 1
        else:
            say("defer", ticket=finding["id"], reason="it is about no file of this spec")
    for path, text in wanted.items():
        if not is_met(path, text) and path not in owned:
            change = "create" if content(path) is None else "modify"
            say("ticket", title=f"Write {path}", body=f"It holds the line: {text}", files={change: [path]})
            tickets += 1

    if not wanted:
        say("decision", decision="stuck", reason="the spec has no item of the form - `PATH`: TEXT")
    elif not tickets and not unfinished and (task.get("verdict") or {}).get("met"):
        say("decision", decision="done", reason="everything landed, and the verifier says it is met")
    else:
        say("decision", decision="continue", reason=f"{tickets} new tickets")


def work(task, wanted):
    """The executor writes the files of its ticket, and no others. What it leaves in the worktree is what lands."""
    for path in task["files"]["create"] + task["files"]["modify"]:
        if path not in wanted:
            say("status", status="blocked", reason=f"the spec says nothing about {path}")
            return
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(wanted[path] + "\n")
    say("comment", text=f"{task['ticket']['id']}: round {task['round']}, as the spec says")


def judge(wanted):
    """The verifier looks at what landed, and says once whether the milestone is met."""
    gaps = [f"{path} is not what the spec says" for path, text in wanted.items() if not is_met(path, text)]
    say("verdict", met=not gaps, rationale=f"{len(wanted)} files were compared with the spec", gaps=gaps)


def review(wanted):
    """A specialist reports findings. The planner answers each with a fix, or defers it with a reason."""
    for path in wanted:
        if not (content(path) or "\n").endswith("\n"):
            title = f"{path} does not end with a line feed"
            say("feedback", title=title, priority="medium", category="style", files=[path])


def main():
    task = json.load(sys.stdin)
    wanted = wanted_files(task["milestone"]["body"])
    if task["role"] == "planner":
        plan(task, wanted)
    elif task["role"] == "executor":
        work(task, wanted)
    elif task["role"] == "verifier":
        judge(wanted)
    else:
        review(wanted)


if __name__ == "__main__":
    main()
