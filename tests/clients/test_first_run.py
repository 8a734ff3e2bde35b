"""What a new user does: start the demo, paste the lines it prints, start it again."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from demo import PROGRAM, ROOT, Demo, clean_environment

# Between its lines, to find out what each printed and how it ended.
MARK = "----- steward test: line {} ended with"

CLIENTS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def pasted(demo):
    """Every line the demo prints for pasting, run in one shell, each with its output and exit code."""
    lines = printed_lines(demo.printed())
    script = "".join(f"{line}\nended=$?; echo; echo '{MARK.format(number)}' $ended\n" for number, line in enumerate(lines))
    environment = clean_environment(AZURE_CORE_COLLECT_TELEMETRY="false", AZURE_CORE_NO_COLOR="true")
    environment["PATH"] = f"{CLIENTS}:{environment['PATH']}"
    # What is pasted into a terminal: the shell reads the lines, and the commands see standard input.
    ended = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180)
    mark = MARK.format(r"\d+")
    outputs = re.split(rf"\n{mark} (\d+)\n", ended.stdout)
    assert len(outputs) == 2 * len(lines) + 1, ended.stdout
    return dict(zip(lines, zip(outputs[0::2], map(int, outputs[1::2]))))


def printed_lines(text):
    """The lines between the invitation and the farewell, without comments."""
    block = text.split("In a second terminal:")[1].split("Ctrl-C stops everything.")[0]
    stripped = [line.strip() for line in block.splitlines()]
    return [line for line in stripped if line and not line.startswith("#")]


def the(pasted, words):
    """Output and exit code of the one line with these words."""
    (found,) = [ended for line, ended in pasted.items() if words in line]
    return found


def test_there_is_no_printed_line_that_no_test_looks_at(pasted):
    looked_at = [
        "env --as reader",
        "/subscriptions?",
        "curl -s -X POST",
        "az cloud register",
        "az login",
        "az group list",
        "az group create",
        "explain last",
        "env --as alder-owner",
        "/serviceProviders?",
    ]
    unseen = [line for line in pasted if not any(words in line for words in looked_at)]
    assert not unseen
    assert len(pasted) == len(looked_at)


def test_the_printed_settings_are_taken(pasted):
    assert the(pasted, "env --as reader") == ("", 0)
    assert the(pasted, "env --as alder-owner") == ("", 0)


def test_the_printed_curl_line_is_allowed(pasted):
    output, code = the(pasted, "/subscriptions?")
    assert code == 0
    assert len(json.loads(output)["value"]) == 7


def test_the_printed_curl_line_is_denied_and_told_why(pasted):
    output, code = the(pasted, "curl -s -X POST")
    assert code == 0
    error = json.loads(output)["error"]
    assert error["code"] == "AuthorizationFailed"
    assert error["additionalInfo"][0]["info"]["reason"] == "role.action_missing"


def test_the_printed_az_lines_sign_in_and_list(pasted):
    assert the(pasted, "az cloud register")[1] == 0
    assert the(pasted, "az login")[1] == 0
    output, code = the(pasted, "az group list")
    assert code == 0
    assert "rg-web-prod" in output


def test_the_printed_az_line_is_denied_and_told_why(pasted):
    output, code = the(pasted, "az group create")
    assert code == 1
    assert "(AuthorizationFailed)" in output
    assert '"reason": "role.action_missing"' in output


def test_the_printed_explanation_is_of_that_denial(pasted):
    output, code = the(pasted, "explain last")
    assert code == 0
    assert "Denied  role.action_missing" in output
    assert "resourcegroups/write" in output


def test_the_printed_line_of_the_customer_lists_its_providers(pasted):
    output, code = the(pasted, "/serviceProviders?")
    assert code == 0
    assert [provider["properties"]["displayName"] for provider in json.loads(output)["value"]] == ["Ostra Managed Cloud"]


def test_nothing_is_written_outside_the_folders_it_names(pasted, demo):
    settings = subprocess.run(
        [PROGRAM, "env", "--world", demo.state / "world.json"], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=30
    ).stdout
    folder = re.search(r"AZURE_CONFIG_DIR='([^']+)'", settings)[1]
    assert Path(folder).is_relative_to(demo.state)
    assert Path(folder, "azureProfile.json").exists()


def test_the_certificates_pass_strict_verification(demo):
    for chain in ("server.pem",):
        verified = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "localhost", "-CAfile", demo.world["ca"], demo.certificates / chain],
            capture_output=True,
            text=True,
            timeout=10,
        )
        assert verified.returncode == 0, verified.stderr


def test_a_second_start_reuses_certificates_secrets_and_keys(runs):
    folder = runs / "second-start"
    first = Demo(folder)
    made = kept(first)
    assert first.stop() == 0
    second = Demo(folder)
    assert kept(second) == made
    assert "made in" not in next(line for line in second.printed().splitlines() if "certificates" in line)
    assert second.stop() == 0


def kept(demo):
    files = [*demo.certificates.iterdir(), *(demo.state / "issuer").rglob("*.pem"), demo.state / "accounts.toml"]
    return {path.name if path.parent == demo.certificates else str(path): path.read_bytes() for path in files}


@pytest.mark.parametrize(("port", "what"), [(8443, "gateway"), (8445, "demo issuer"), (8446, "resource manager"), (8480, "admin listener")])
def test_a_taken_port_is_named_with_the_way_out(runs, port, what):
    """Ours or somebody else's: the port is taken either way. An earlier one may be taken as well; then that one is named."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            pass
        folder = runs / f"port-{port}"
        command = [PROGRAM, "demo", "--folder", folder / "state", "--certs", folder / "certs"]
        ended = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 5, ended.stderr
    assert ended.stdout == ""
    named = re.fullmatch(r"Error: port (\d+) for the (.+) is taken; end the program that has it, or start with `--ports auto`\n", ended.stderr)
    assert named, ended.stderr
    assert int(named[1]) <= port
    if int(named[1]) == port:
        assert named[2] == what
