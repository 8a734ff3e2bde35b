"""What a customer does with its log: verify it with a program that is not ours."""

import subprocess
import sys

from demo import ROOT, clean_environment, wait_for

VERIFIER = ROOT / "docs/verify_export.py"


def verified(path):
    return subprocess.run([sys.executable, VERIFIER, path], env=clean_environment(), capture_output=True, text=True, timeout=30)


def test_an_export_is_verified_from_the_manual_alone(demo, wire, token_of, runs):
    answer = wire("GET", f"/subscriptions/{demo.subscription('alder-prod')}/resourcegroups", token_of("reader"))
    request = answer.headers["x-ms-request-id"]
    records = ("--records", demo.state / "records")
    # The head that covers the request comes within seconds.
    wait_for("a head", lambda: demo.steward("audit", "prove", request, *records).returncode == 0, 30, pause_s=0.5)
    export = runs / "alder.ndjson"
    exported = demo.steward("audit", "export", *records, "--tenant", demo.tenant(demo.world["subscriptions"]["alder-prod"]["tenant"]), "--out", export)
    assert exported.returncode == 0, exported.stderr
    text = export.read_text()
    assert request in text
    sound = verified(export)
    assert sound.returncode == 0, sound.stderr
    assert demo.steward("audit", "verify", export).returncode == 0

    changed = runs / "alder-changed.ndjson"
    changed.write_text(text.replace(request, request[:-1] + ("0" if request[-1] != "0" else "1")))
    assert verified(changed).returncode != 0
    told = demo.steward("audit", "verify", changed)
    assert told.returncode == 1 and "was changed" in told.stdout, told.stdout
