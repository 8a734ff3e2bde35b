"""Onboarding by deployment templates: our own, and the public ones where their folder stands beside the repository."""

import json
import re
import uuid
from pathlib import Path

import pytest

from demo import ROOT
from test_delegations import removed_at_the_end as removed_at_the_end

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
DELETE_ROLE = "91c1777a-f3dc-4fae-b103-61d183457e46"
POLICY_CONTRIBUTOR = "36243c78-bf99-498c-9df9-86d9f8d28608"
LOG_ANALYTICS_CONTRIBUTOR = "92aaf0da-9dab-42b6-94a3-d43ce8d16293"
ACCESS_ADMINISTRATOR = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"

OWN = ROOT / "tests/clients/templates"
PUBLIC = ROOT.parent / "shared/data/lighthouse-samples"


def templates(folder):
    """The templates that carry a registration, below `folder`."""
    found = sorted(path for path in Path(folder).rglob("*.json") if not path.name.endswith(".parameters.json"))
    return [path for path in found if "registrationAssignments" in path.read_text()]


def read(template):
    """Templates may hold comments, which start a line in ours."""
    return json.loads(re.sub(r"^\s*//.*$", "", template.read_text(), flags=re.MULTILINE))


def declared(template):
    """The names of its parameters."""
    return read(template)["parameters"]


def parameters(template, demo, group):
    """Values for the parameters that the template declares."""
    deniz, operator = (demo.identity(name)["object_id"] for name in ("deniz", "operator"))
    values = {
        "mspOfferName": f"Offer {uuid.uuid4().hex[:8]}",
        "mspOfferDescription": "By a template",
        "managedByTenantId": demo.tenant("ostra"),
        "authorizations": [
            {"principalId": operator, "principalIdDisplayName": "Operators", "roleDefinitionId": READER},
            {"principalId": operator, "principalIdDisplayName": "Operators", "roleDefinitionId": DELETE_ROLE},
            {"principalId": deniz, "principalIdDisplayName": "Deniz", "roleDefinitionId": READER},
        ],
        "eligibleAuthorizations": [
            {
                "principalId": deniz,
                "principalIdDisplayName": "Deniz",
                "roleDefinitionId": POLICY_CONTRIBUTOR,
                "justInTimeAccessPolicy": {
                    "multiFactorAuthProvider": "Azure",
                    "maximumActivationDuration": "PT8H",
                    "managedByTenantApprovers": [{"principalId": demo.identity("mara")["object_id"], "principalIdDisplayName": "Mara"}],
                },
            }
        ],
        "rgName": group,
    }
    return {name: {"value": values[name]} for name in declared(template)}


@pytest.fixture
def say(capsys):
    """Tells whoever runs the tests what was granted, past the capture of the runner."""

    def say(text):
        with capsys.disabled():
            print(f"\n{text}", end="")

    return say


@pytest.fixture
def deploy(az_of, demo, tmp_path, fresh_name):
    """Deploys a template at alder-dev as its owner; `changed` may change the parameters."""
    az = az_of("alder-owner")
    where = ["--subscription", "alder-dev"]
    az("group", "create", *where, "-n", fresh_name, "-l", "westeurope")

    def deploy(template, changed=lambda values: values, verb="create"):
        values = tmp_path / "parameters.json"
        values.write_text(json.dumps({"parameters": changed(parameters(template, demo, fresh_name))}))
        name = f"onboard-{uuid.uuid4().hex[:8]}"
        what = ["-l", "westeurope", "-n", name, "--template-file", str(template), "--parameters", f"@{values}"]
        return az.run("deployment", "sub", verb, *where, *what, "-o", "json")

    yield deploy
    az("group", "delete", *where, "-n", fresh_name, "--yes", "--no-wait")


def all_templates():
    return [pytest.param(path, id=str(path.relative_to(folder))) for folder in (OWN, PUBLIC) for path in templates(folder)]


@pytest.mark.usefixtures("removed_at_the_end")
@pytest.mark.parametrize("template", all_templates())
def test_a_template_onboards_unchanged(template, deploy, az_of, demo, wire, token_of, fresh_name, say):
    deployed = deploy(template).succeeded().json
    assert deployed["properties"]["provisioningState"] == "Succeeded"
    assert deployed["properties"]["outputs"]["mspOfferName"]["value"].startswith("Managed by Offer ")
    listed = az_of("alder-owner")("managedservices", "assignment", "list", "--subscription", "alder-dev", "--include-definition", "-o", "json")
    [assignment] = listed.json
    offer = assignment["properties"]["registrationDefinition"]["properties"]
    scope = assignment["id"].split("/providers/")[0]
    say(f"{template.name}: {offer['registrationDefinitionName']} on {scope}")
    for one in offer["authorizations"]:
        say(f"  {one['principalIdDisplayName']} holds {one['roleDefinitionId']}")
    granted = {(one["principalId"], one["roleDefinitionId"]) for one in offer["authorizations"]}
    operator, deniz = (demo.identity(name)["object_id"] for name in ("operator", "deniz"))
    assert granted == {(operator, READER), (operator, DELETE_ROLE), (deniz, READER)}

    in_group = "rgName" in declared(template)
    assert scope.endswith(f"/resourceGroups/{fresh_name}") == in_group
    dev = f"/subscriptions/{demo.subscription('alder-dev')}"
    assert wire("GET", f"{dev}/resourceGroups/{fresh_name}", token_of("operator")).status_code == 200
    assert wire("PUT", f"{dev}/resourceGroups/{fresh_name}", token_of("operator"), json={"location": "westeurope"}).status_code == 403
    if "eligibleAuthorizations" in declared(template):
        version = {"api-version": "2022-10-01", "$expandRegistrationDefinition": "true"}
        path = f"{dev}/providers/Microsoft.ManagedServices/registrationAssignments"
        [shown] = wire("GET", path, token_of("alder-owner"), params=version).json()["value"]
        [eligible] = shown["properties"]["registrationDefinition"]["properties"]["eligibleAuthorizations"]
        say(f"  {eligible['principalIdDisplayName']} may activate {eligible['roleDefinitionId']}")
        assert (eligible["principalId"], eligible["roleDefinitionId"]) == (deniz, POLICY_CONTRIBUTOR)


@pytest.mark.usefixtures("removed_at_the_end")
def test_a_role_that_the_rules_refuse_is_named_with_its_action(deploy, demo, say):
    """What the public templates give by default: a role that has gained data actions since they were written."""

    def with_log_analytics(values):
        values["authorizations"]["value"].append(
            {
                "principalId": demo.identity("operator")["object_id"],
                "roleDefinitionId": ACCESS_ADMINISTRATOR,
                "delegatedRoleDefinitionIds": [LOG_ANALYTICS_CONTRIBUTOR],
            }
        )
        return values

    refused = deploy(templates(OWN)[0], with_log_analytics).refused()
    say(refused.stderr.strip())
    assert "Log Analytics Contributor" in refused.stderr
    assert "Microsoft.OperationalInsights/workspaces/jobs/export/action" in refused.stderr


def test_what_if_and_validate_change_nothing(deploy, az_of):
    template = templates(OWN)[0]
    validated = deploy(template, verb="validate").succeeded().json
    assert validated["properties"]["provisioningState"] == "Succeeded"
    az = az_of("alder-owner")
    assert az("managedservices", "assignment", "list", "--subscription", "alder-dev", "-o", "json").json == []


def test_a_template_error_names_path_and_reason(deploy, tmp_path):
    broken = tmp_path / "broken.json"
    template = read(templates(OWN)[0])
    template["resources"][0]["properties"]["description"] = "[conat('a', 'b')]"
    broken.write_text(json.dumps(template))
    refused = deploy(broken).refused()
    assert "InvalidTemplate" in refused.stderr
    assert "$.resources[0].properties.description" in refused.stderr and "conat" in refused.stderr


def test_nobody_deploys_what_they_could_not_do_otherwise(deploy, az_of, demo, tmp_path, fresh_name):
    """A provider with a role that may deploy is refused what its template asks for, and nothing is changed."""
    template = templates(OWN)[0]
    values = tmp_path / "provider.json"
    values.write_text(json.dumps({"parameters": parameters(template, demo, fresh_name)}))
    az = az_of("operator")
    what = ["-l", "westeurope", "-n", "theirs", "--template-file", str(template), "--parameters", f"@{values}"]
    refused = az.run("deployment", "sub", "create", "--subscription", "alder-prod", *what).refused()
    assert "registrationDefinitions/write" in refused.stderr and "nothing was changed" in refused.stderr
