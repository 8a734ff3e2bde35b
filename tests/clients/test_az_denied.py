"""The Azure CLI: refused, and told why."""

import re

from conftest import ID

GROUP_VERSION = "api-version=2021-04-01"


def test_a_role_without_the_action_is_refused_with_the_reason(az_of, explained, fresh_name):
    refused = az_of("reader").run("group", "create", "--subscription", "alder-prod", "-n", fresh_name, "-l", "westeurope").refused()
    assert refused.stderr.startswith("ERROR: (AuthorizationFailed) The client 'Reporting automation' with object id")
    assert "does not have authorization to perform action 'Microsoft.Resources/subscriptions/resourcegroups/write'" in refused.stderr
    assert "no role that the caller holds here permits" in refused.stderr
    info = re.search(r'"reason": "([a-z_.]+)".*"id": "([0-9a-f-]{36})"', refused.stderr, re.DOTALL)
    reason, request_id = info.groups()
    assert reason == "role.action_missing"

    text, document = explained(request_id)
    assert text.startswith("Denied  role.action_missing")
    assert re.search(r"Reader, standing, to Reporting automation +✓ +✓ +✗ +✓ +policies/customers/alder\.toml:\d+", text)
    assert document["outcome"] == "deny"
    outcomes = [check["outcome"] for check in document["checks"]]
    assert outcomes == ["pass"] * 7 + ["fail"] + ["not_reached"] * 2
    assert document["command"] == "group create"


def test_a_newer_command_of_the_cli_is_refused_alike(az_of):
    """`az vm` is generated differently and prints no additional information: the message has to say enough."""
    refused = az_of("reader").run("vm", "deallocate", "--subscription", "alder-prod", "-g", "rg-web-prod", "-n", "web-02").refused()
    assert "(AuthorizationFailed)" in refused.stderr
    assert "perform action 'Microsoft.Compute/virtualMachines/deallocate/action'" in refused.stderr
    assert "no role that the caller holds here permits" in refused.stderr


def test_the_cli_itself_knows_no_undelegated_subscription(az_of, demo):
    az = az_of("operator")
    refused = az.run("group", "list", "--subscription", demo.subscription("alder-dev")).refused()
    assert "not found" in refused.stderr


def test_an_undelegated_subscription_of_a_customer_is_refused(az_of, demo, explained):
    """By the whole URL: the provider's tenant works for this customer, so it is told that nothing is delegated here."""
    az = az_of("operator")
    for method, url in undelegated_calls(demo, "alder-dev"):
        refused = rest(az, method, url).refused()
        assert refused.stderr.startswith("ERROR: Forbidden(")
        assert '"code":"AuthorizationFailed"' in refused.stderr
        text, _ = explained(ID_IN_ANSWER.search(refused.stderr)[1])
        assert text.startswith("Denied  delegation.none")


def test_a_stranger_is_told_that_there_is_no_such_subscription(az_of, demo, explained):
    az = az_of("rival")
    for method, url in undelegated_calls(demo, "alder-prod"):
        refused = rest(az, method, url).refused()
        assert refused.stderr.startswith("ERROR: Not Found(")
        assert '"code":"SubscriptionNotFound"' in refused.stderr
        assert "delegat" not in refused.stderr


ID_IN_ANSWER = re.compile(rf'"id":"({ID.pattern})"')


def undelegated_calls(demo, subscription):
    base = f"{demo.gateway}/subscriptions/{demo.subscription(subscription)}"
    yield "get", f"{base}/resourcegroups?{GROUP_VERSION}"
    yield "put", f"{base}/resourcegroups/rg-new?{GROUP_VERSION}"
    yield "delete", f"{base}/resourcegroups/rg-web-prod?{GROUP_VERSION}"


def rest(az, method, url):
    """A call that the CLI makes without looking for the subscription in its own list first."""
    header = f"Authorization=Bearer {az.token()}"
    body = ["--body", '{"location":"westeurope"}'] if method == "put" else []
    return az.run("rest", "--method", method, "--url", url, "--skip-authorization-header", "--headers", header, *body)
