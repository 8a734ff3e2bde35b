"""One demo for all journeys; one sign-in of the Azure CLI for each person."""

import json
import os
import re
import uuid
from pathlib import Path

import pytest
import requests
from azure.identity import ClientSecretCredential

from azure_cli import AzureCli
from demo import ROOT, Demo

API_VERSION = "2021-04-01"

# For `steward explain`, which takes the id that the refusal carries.
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="session")
def runs():
    """Where everything that the product and the clients write goes."""
    folder = Path(os.environ.get("STEWARD_RUNS", ROOT / "target/test-runs/clients")) / f"run-{os.getpid()}"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def demo(runs):
    demo = Demo(runs / "demo")
    # The SDKs read it when they connect.
    os.environ["REQUESTS_CA_BUNDLE"] = demo.ca_bundle
    yield demo
    assert demo.stop() == 0, f"the demo did not end well: {demo.stderr_path.read_text()}"


@pytest.fixture(scope="session")
def new_az(demo, runs):
    """A CLI that knows the cloud, with nobody signed in."""
    first = AzureCli(demo, runs / "azure/nobody-yet", runs / "az")
    first.register_cloud()
    return lambda name: first.like(runs / "azure" / name)


@pytest.fixture(scope="session")
def az_of(new_az):
    """The CLI of somebody who is signed in: `az_of("reader")`."""
    signed_in = {}

    def az_of(name):
        if name not in signed_in:
            az = new_az(name)
            az.sign_in(name).succeeded()
            signed_in[name] = az
        return signed_in[name]

    return az_of


@pytest.fixture(scope="session")
def credential_of(demo):
    """The credential of azure-identity for somebody."""
    made = {}

    def credential_of(name):
        if name not in made:
            who = demo.identity(name)
            made[name] = ClientSecretCredential(
                who["tenant_id"], who["client_id"], who["client_secret"], authority=demo.authority, disable_instance_discovery=True
            )
        return made[name]

    return credential_of


@pytest.fixture(scope="session")
def token_of(credential_of):
    """An access token for the management plane, or for another resource."""
    return lambda name, resource="https://management.azure.com/": credential_of(name).get_token(f"{resource}/.default").token


@pytest.fixture(scope="session")
def wire(demo):
    """One plain request to the gateway: `wire("GET", "/subscriptions", token)`."""

    def wire(method, path, token=None, **options):
        headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        parameters = {"api-version": API_VERSION} | options.pop("params", {})
        address = path if path.startswith("https:") else demo.gateway + path
        return requests.request(method, address, params=parameters, headers=headers, verify=demo.ca_bundle, timeout=30, **options)

    return wire


@pytest.fixture
def fresh_name():
    """A name that no other test uses."""
    return f"rg-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def explained(demo):
    """What `steward explain` tells of a request: its text and its document. It has to show the ten checks."""

    def explained(request_id):
        told = demo.steward("explain", request_id)
        assert told.returncode == 0, told.stderr
        checks = [line for line in told.stdout.splitlines() if re.match(r"  [✓✗·] ", line)]
        assert len(checks) == 10, told.stdout
        document = demo.steward("explain", request_id, "-o", "json")
        assert document.returncode == 0, document.stderr
        document = json.loads(document.stdout)
        assert document["id"] == request_id
        assert len(document["checks"]) == 10
        return told.stdout, document

    return explained


def pytest_report_header():
    return f"program: {os.environ.get('STEWARD_BIN', 'target/release/steward')}"
