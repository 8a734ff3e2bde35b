"""The guides, as a new user follows them: every command is run, and prints what the guide says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo import PROGRAM, ROOT, Demo, clean_environment

# Each with the steps that it has at least, and how many of them at least show what they print.
GUIDES = {"onboarding": (15, 12), "private-cloud": (9, 7)}
CLIENTS = Path(sys.executable).parent

# The one command that does not end: the fixture does it.
START = "cargo run --release"
# Between the steps, to find out what each printed and whether a command of it failed.
MARK = "----- steward test: step {} ended with"


def steps(guide):
    """Each block of commands, with what it is said to print."""
    found = []
    text = (ROOT / f"docs/{guide}.md").read_text()
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if language == "sh":
            found.append([text, ""])
        else:
            assert language == "text", language
            found[-1][1] += text
    return found


STEPS = {guide: steps(guide) for guide in GUIDES}


@pytest.fixture(scope="module")
def walked(runs):
    """What each step of a guide printed, and whether a command of it failed."""
    known = {}

    def walked(guide):
        if guide not in known:
            known[guide] = walk(runs / guide, STEPS[guide][1:])
        return known[guide]

    return walked


def walk(folder, steps):
    demo = Demo(folder)
    # A clone as the guide's reader has it, whose demo is ours.
    clone = folder / "clone"
    (clone / "target/release").mkdir(parents=True)
    (clone / ".steward").mkdir()
    (clone / "target/release/steward").symlink_to(PROGRAM.resolve())
    (clone / ".steward/demo").symlink_to(demo.state)
    (clone / "docs").symlink_to(ROOT / "docs")
    ends = "echo; echo '{}' $failed; failed=0\n"
    script = "trap failed=1 ERR\nfailed=0\n" + "".join(f"{commands}{ends.format(MARK.format(n))}" for n, (commands, _) in enumerate(steps))
    environment = clean_environment(AZURE_CORE_COLLECT_TELEMETRY="false", AZURE_CORE_NO_COLOR="true")
    environment["PATH"] = f"{CLIENTS}:{environment['PATH']}"
    ended = subprocess.run(["bash", "-c", script], cwd=clone, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240)
    assert demo.stop() == 0
    outputs = re.split(rf"\n{MARK.format('[0-9]+')} (\d)\n", ended.stdout)
    assert len(outputs) == 2 * len(steps) + 1, ended.stdout
    return list(zip(outputs[0::2], outputs[1::2]))


def unmatched(said, printed):
    """The first line that the guide shows and the step did not print after the lines before it; `…` stands for anything."""
    lines = iter(printed.splitlines())
    for line in said.splitlines():
        pattern = ".*".join(re.escape(part) for part in line.rstrip().split("…"))
        if not any(re.fullmatch(pattern, printed_line.rstrip()) for printed_line in lines):
            return line
    return None


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_begins_with_the_demo(guide):
    least, shown = GUIDES[guide]
    assert STEPS[guide][0] == [f"{START}\n", ""]
    assert len(STEPS[guide]) >= least
    assert sum(bool(said) for _, said in STEPS[guide]) >= shown, "most steps show what they print"


@pytest.mark.parametrize("guide,number", [(guide, number) for guide in GUIDES for number in range(len(STEPS[guide]) - 1)])
def test_a_step_does_what_the_guide_says(walked, guide, number):
    commands, said = STEPS[guide][number + 1]
    printed, failed = walked(guide)[number]
    assert unmatched(said, printed) is None, f"{commands}\nprinted\n{printed}"
    assert failed == str(int(said.startswith("ERROR"))), f"{commands}\nprinted\n{printed}"
