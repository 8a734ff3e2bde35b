"""What two scanners of TLS find in the gateway's listener: nothing, but what follows from a private authority and certificates of 30 days."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from demo import ROOT, clean_environment

SCANNERS = Path(os.environ.get("STEWARD_SCANNERS", ROOT / "target/scanners"))
SCAN_S_MAX = 240

# What testssl.sh says of the demo's certificates, which are not the gateway's doing: a private authority that no list of roots knows and that
# publishes no revocations, certificates of 30 days, and a name that is in no DNS.
OF_THE_CERTIFICATE = {"cert_chain_of_trust", "cert_expirationStatus", "cert_notAfter", "cert_revocation", "DNS_CAArecord"}
FINDINGS = {"LOW", "MEDIUM", "HIGH", "CRITICAL", "FATAL"}

# Every protocol, kind of cipher and weakness that the scanner of this version tries; it says OK or INFO of each that is not there.
TRIED = {
    *("SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3"),
    *("cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT", "cipherlist_LOW", "cipherlist_3DES_IDEA", "cipherlist_AVERAGE", "cipherlist_STRONG"),
    *("PFS", "cipher_order", "protocol_negotiated", "cipher_negotiated", "cert_signatureAlgorithm", "cert_keySize", "TLS_timestamp"),
    *("heartbleed", "CCS", "ticketbleed", "ROBOT", "secure_renego", "secure_client_renego", "CRIME_TLS", "BREACH", "POODLE_SSL", "fallback_SCSV"),
    *("SWEET32", "FREAK", "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4"),
}


@pytest.fixture
def address(demo):
    return demo.gateway.removeprefix("https://")


def scan(folder, name, command):
    """Runs a scanner and keeps what it printed."""
    with open(folder / f"{name}.log", "wb") as log:
        ended = subprocess.run(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, env=clean_environment(), timeout=SCAN_S_MAX
        )
    return ended.returncode, (folder / f"{name}.log").read_text(errors="replace")


@pytest.fixture(scope="session")
def scans(runs):
    folder = runs / "tls"
    folder.mkdir()
    return folder


def test_sslyze_finds_the_intermediate_configuration_of_mozilla(demo, address, scans):
    # Fewer connections at once than by itself: the journeys share the machine.
    trusted = ["--certinfo", "--certinfo_ca_file", demo.world["ca"]]
    options = ["--mozilla_config", "intermediate", *trusted, "--early_data", "--slow_connection", "--json_out", "sslyze.json"]
    code, told = scan(scans, "sslyze", [SCANNERS / "bin/python", "-m", "sslyze", *options, address])
    assert code == 0, told
    assert f"{address}: OK - Compliant." in told
    (result,) = json.loads((scans / "sslyze.json").read_text())["server_scan_results"]
    results = result["scan_result"]
    # Each scan came to its end, so that being compliant does not come from having looked at nothing.
    for name in ["tls_1_2_cipher_suites", "tls_1_3_cipher_suites", "heartbleed", "openssl_ccs_injection", "robot", "session_renegotiation"]:
        assert results[name]["status"] == "COMPLETED", results[name]
    accepted = {version: len(results[f"{version}_cipher_suites"]["result"]["accepted_cipher_suites"]) for version in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"]}
    assert accepted == dict.fromkeys(accepted, 0)
    assert not results["heartbleed"]["result"]["is_vulnerable_to_heartbleed"]
    assert not results["openssl_ccs_injection"]["result"]["is_vulnerable_to_ccs_injection"]
    assert not results["tls_compression"]["result"]["supports_compression"]
    assert not results["tls_1_3_early_data"]["result"]["supports_early_data"]
    renegotiation = results["session_renegotiation"]["result"]
    assert renegotiation["supports_secure_renegotiation"] and not renegotiation["is_vulnerable_to_client_renegotiation_dos"]


def test_testssl_finds_nothing_but_the_demos_certificates(address, scans):
    # Protocols, ciphers, forward secrecy, preferences, defaults and all vulnerabilities.
    checks = ["-p", "-s", "-f", "-P", "-S", "-U"]
    options = ["--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--jsonfile", "testssl.json"]
    _, told = scan(scans, "testssl", ["testssl", *options, *checks, address])
    said = json.loads((scans / "testssl.json").read_text())
    tried = {entry["id"] for entry in said}
    assert TRIED <= tried, f"not tried: {sorted(TRIED - tried)}\n{told}"
    found = {entry["id"]: entry["finding"] for entry in said if entry["severity"] in FINDINGS and entry["id"] not in OF_THE_CERTIFICATE}
    assert found == {}, told
