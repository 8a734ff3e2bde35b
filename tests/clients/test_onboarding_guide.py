"""docs/onboarding.md, as a new user follows it: every command is run, and prints what the guide says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo import PROGRAM, ROOT, Demo, clean_environment

GUIDE = ROOT / "docs/onboarding.md"
CLIENTS = Path(sys.executable).parent

# The one command that does not end: the fixture does it.
START = "cargo run --release"
# Between the steps, to find out what each printed and whether a command of it failed.
MARK = "----- steward test: step {} ended with"


def steps():
    """Each block of commands, with what it is said to print."""
    found = []
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL):
        if language == "sh":
            found.append([text, ""])
        else:
            assert language == "text", language
            found[-1][1] += text
    return found


STEPS = steps()


@pytest.fixture(scope="module")
def walked(runs):
    """What each step printed, and whether a command of it failed."""
    demo = Demo(runs / "onboarding")
    # A clone as the guide's reader has it, whose demo is ours.
    clone = runs / "onboarding/clone"
    (clone / "target/release").mkdir(parents=True)
    (clone / ".steward").mkdir()
    (clone / "target/release/steward").symlink_to(PROGRAM.resolve())
    (clone / ".steward/demo").symlink_to(demo.state)
    (clone / "docs").symlink_to(ROOT / "docs")
    ends = "echo; echo '{}' $failed; failed=0\n"
    script = "trap failed=1 ERR\nfailed=0\n" + "".join(f"{commands}{ends.format(MARK.format(n))}" for n, (commands, _) in enumerate(STEPS[1:]))
    environment = clean_environment(AZURE_CORE_COLLECT_TELEMETRY="false", AZURE_CORE_NO_COLOR="true")
    environment["PATH"] = f"{CLIENTS}:{environment['PATH']}"
    ended = subprocess.run(["bash", "-c", script], cwd=clone, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240)
    assert demo.stop() == 0
    outputs = re.split(rf"\n{MARK.format('[0-9]+')} (\d)\n", ended.stdout)
    assert len(outputs) == 2 * len(STEPS) - 1, ended.stdout
    return list(zip(outputs[0::2], outputs[1::2]))


def unmatched(said, printed):
    """The first line that the guide shows and the step did not print after the lines before it; `…` stands for anything."""
    lines = iter(printed.splitlines())
    for line in said.splitlines():
        pattern = ".*".join(re.escape(part) for part in line.rstrip().split("…"))
        if not any(re.fullmatch(pattern, printed_line.rstrip()) for printed_line in lines):
            return line
    return None


def test_the_guide_begins_with_the_demo():
    assert STEPS[0] == [f"{START}\n", ""]
    assert len(STEPS) >= 15
    assert sum(bool(said) for _, said in STEPS) >= 12, "most steps show what they print"


@pytest.mark.parametrize("number", range(len(STEPS) - 1))
def test_a_step_does_what_the_guide_says(walked, number):
    commands, said = STEPS[number + 1]
    printed, failed = walked[number]
    assert unmatched(said, printed) is None, f"{commands}\nprinted\n{printed}"
    assert failed == str(int(said.startswith("ERROR"))), f"{commands}\nprinted\n{printed}"
