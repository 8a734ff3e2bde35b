"""The scan that ends a run finds what it is for; a scan that finds nothing anywhere would look the same."""

import json
import subprocess
import sys

import pytest

from demo import ROOT

# Made up, and put together here so that the scan of this run does not find its own test.
SECRET = "made" + "-up-secret-of-the-operator"
TOKEN = ".".join(["ey" + "JhbGciOiJub25lIn0", "ey" + "JvaWQiOiJub2JvZHkifQ", ""])


@pytest.fixture
def scanned(tmp_path):
    """Scans a folder like that of a run, with one file as given."""

    def scanned(name, text):
        records = tmp_path / "state/records"
        records.mkdir(parents=True)
        (records / "00000001.ndjson").write_text('{"schema":"steward.record/1"}\n')
        (tmp_path / "world.json").write_text(json.dumps({"identities": {"operator": {"client_secret": SECRET}}}))
        (tmp_path / name).write_text(text)
        command = [sys.executable, ROOT / "tests/lib/secrets_scan.py", tmp_path]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)

    return scanned


@pytest.mark.parametrize(
    "text",
    [f"a line with {SECRET} in it", f"token {TOKEN}x1234567890", "authorization: Bearer " + "0123456789abcdef" * 2, "-----BEGIN " + "PRIVATE KEY-----"],
)
def test_a_planted_secret_is_found_and_not_shown(scanned, text):
    ended = scanned("demo.stderr.log", text)
    assert ended.returncode == 1, ended.stdout
    assert "demo.stderr.log: " in ended.stdout
    assert SECRET not in ended.stdout


def test_a_secret_inside_a_record_is_found(scanned):
    ended = scanned("state/records/00000002.ndjson", json.dumps({"path": SECRET}))
    assert ended.returncode == 1


def test_a_clean_run_passes_with_its_numbers(scanned):
    ended = scanned("demo.stderr.log", 'www-authenticate: Bearer authorization_uri="https://localhost/organizations"')
    assert ended.returncode == 0, ended.stdout
    assert "2 files (1 of decision records)" in ended.stdout


def test_a_scan_with_nothing_to_look_for_fails(tmp_path):
    command = [sys.executable, ROOT / "tests/lib/secrets_scan.py", tmp_path]
    assert subprocess.run(command, capture_output=True, timeout=30).returncode == 2
