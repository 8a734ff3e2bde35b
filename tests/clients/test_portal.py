"""The portal in a real browser: a visitor signs up, deploys, reads why it failed, and gives a machine away."""

import uuid

import pytest

from browser import Browser
from demo import wait_for
from private_cloud import JOB_S_MAX, OWN, Fabric, Key, Tenant
from test_private_cloud import GOLD_HOSTS, hosts_on  # noqa: F401 (a fixture)

CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"


@pytest.fixture(scope="module")
def fabric(demo, token_of):
    return Fabric(demo, lambda: token_of("fabric-admin"))


@pytest.fixture
def browser(demo, runs, request):
    browser = Browser(demo.world["admin"], runs / "portal" / request.node.name)
    yield browser
    browser.close()


def sign_up(browser, name, plan):
    browser.open("/")
    browser.seen("welcome")
    browser.open("/sign-up")
    browser.seen("sign-up")
    browser.fill(plan=plan, organisation=name.capitalize(), person=f"Anna of {name}", identity=f"anna@{name}.example")
    browser.press("Sign up")
    assert browser.path.startswith("/tenants/"), browser.text
    browser.seen("tenant")
    return browser.path.split("/")[2]


def deploy(browser, tenant, name, **where):
    browser.open(f"/tenants/{tenant}/machines/new")
    browser.seen("new-machine")
    browser.fill(name=name, **where)
    browser.press("Deploy")
    assert "/jobs/" in browser.path, browser.text


@pytest.mark.usefixtures("hosts_on")
def test_a_visitor_signs_up_deploys_and_moves_a_machine(browser, demo, fabric):
    tenant = sign_up(browser, f"maple-{uuid.uuid4().hex[:6]}", "gold")
    assert {"Virtual machines", "Networks", "Usage"} <= set(browser.links()), browser.links()

    for host in GOLD_HOSTS:
        fabric.turn(host, "off")
    deploy(browser, tenant, "web-1", cloud="north-gold")
    browser.until(r"State\s+failed")
    assert "north-host-1" in browser.text, browser.text
    browser.seen("failed-job")
    browser.open(f"/tenants/{tenant}/machines")
    browser.seen("no-machine")
    for host in GOLD_HOSTS:
        fabric.turn(host, "on")
    deploy(browser, tenant, "web-1", cloud="north-gold")
    browser.until(r"State\s+done")
    browser.seen("completed-job")
    browser.open(f"/tenants/{tenant}/machines/north-gold/web-1")
    assert "anna@maple" in browser.text, browser.text
    browser.seen("machine")

    other = Tenant(demo, f"willow-{uuid.uuid4().hex[:6]}")
    person = fabric.arm("GET", f"/providers/Steward.PrivateCloud/tenants/{tenant}").json()["properties"]
    delegate_to(other, person["accountId"], person["administrator"]["objectId"])
    browser.open(f"/tenants/{tenant}/machines/north-gold/web-1/move")
    browser.seen("move")
    browser.fill(tenant_id=other.id, cloud="north-gold")
    browser.press("Show what would happen")
    assert "Nothing has happened yet" in browser.text, browser.text
    browser.seen("move-preview")
    assert other.names() == []
    browser.press("Move it")
    assert "was moved" in browser.text, browser.text
    browser.seen("moved")
    assert other.names() == ["web-1"]
    assert other.machine("web-1")["privateCloud"]["owner"] == other.identity
    browser.open(f"/tenants/{tenant}/machines")
    assert "web-1" not in browser.text


def test_the_pages_show_only_what_the_plan_has(browser):
    tenant = sign_up(browser, f"bilberry-{uuid.uuid4().hex[:6]}", "bronze")
    links = browser.links()
    assert "Virtual machines" in links and "Networks" in links, links
    assert "Usage" not in links and not any("heckpoint" in link for link in links), links
    browser.open(f"/tenants/{tenant}/usage")
    browser.seen("usage-is-not-there", refused=True)
    assert "There is no such page" in browser.text, browser.text


def sign_in(browser, tenant):
    """Signs in by token. It counts from the second after the one in which its issuer was brought."""

    def is_in():
        browser.open("/sign-in")
        browser.fill(token=tenant.token())
        browser.press("Sign in")
        return browser.path == "/" and tenant.name.capitalize() in browser.text

    wait_for("the tenant's administrator to be in", is_in, 20)


def check_signed_out(browser, tenant, machine="web-7"):
    """Whichever page comes next: it asks who is there, and shows nothing."""
    for page in ["/machines", f"/machines/north-gold/{machine}", "/machines/new", "/usage", ""]:
        browser.open(f"/tenants/{tenant}{page}")
        assert browser.path.startswith("/sign-in?next="), f"{page}: {browser.text}"
        assert machine not in browser.text and "Sign out" not in browser.whole_text
    browser.open("/")
    assert "Sign out" not in browser.whole_text and "Your tenants" not in browser.text, browser.text
    browser.seen("signed-out")


def test_a_session_ends_with_the_key_that_proved_the_person(browser, demo):
    tenant = Tenant(demo, f"rowan-{uuid.uuid4().hex[:6]}")
    _, job = tenant.deploy("web-7")
    assert job["status"] == "Succeeded", job
    sign_in(browser, tenant)
    browser.open(f"/tenants/{tenant.id}/machines")
    assert "web-7" in browser.text and "Sign out" in browser.whole_text

    new = Key("k2")
    change = {"properties": {"trustedIssuers": [{"name": tenant.issuer, "keys": new.public}]}}
    changed = tenant.arm("PATCH", tenant.own_path, version=OWN, json=change)
    assert changed.status_code == 200, changed.text
    check_signed_out(browser, tenant.id)
    tenant.key = new
    sign_in(browser, tenant)

    change = {"properties": {"trustedIssuers": [{"name": "https://other.example/", "keys": new.public}]}}
    changed = tenant.arm("PATCH", tenant.own_path, version=OWN, json=change)
    assert changed.status_code == 200, changed.text
    check_signed_out(browser, tenant.id)


@pytest.mark.parametrize("how", ["with a token", "by signing up"])
def test_a_session_ends_with_its_tenant(browser, demo, fabric, how):
    name = f"yew-{uuid.uuid4().hex[:6]}"
    if how == "with a token":
        tenant = Tenant(demo, name)
        sign_in(browser, tenant)
        tenant = tenant.id
    else:
        tenant = sign_up(browser, name, "gold")
    browser.open(f"/tenants/{tenant}/machines")
    assert "Sign out" in browser.whole_text
    path = f"/providers/Steward.PrivateCloud/tenants/{tenant}"
    assert fabric.arm("DELETE", path).status_code == 202
    wait_for("the end of the tenant", lambda: fabric.arm("GET", path).status_code == 404, JOB_S_MAX)
    check_signed_out(browser, tenant)


@pytest.mark.parametrize("width,dark", [(1440, True), (390, False)])
def test_the_pages_in_the_dark_and_on_a_telephone(demo, runs, width, dark):
    browser = Browser(demo.world["admin"], runs / "portal" / f"{width}-{'dark' if dark else 'light'}", width=width, dark=dark)
    try:
        tenant = sign_up(browser, f"larch-{uuid.uuid4().hex[:6]}", "gold")
        deploy(browser, tenant, "small", cloud="north-gold")
        browser.until(r"State\s+done")
        browser.seen("job")
        for page in ["machines", "machines/north-gold/small", "networks", "usage"]:
            browser.open(f"/tenants/{tenant}/{page}")
            browser.seen(page.replace("/", "-"))
    finally:
        browser.close()


def delegate_to(tenant, managing_tenant, object_id):
    """Delegates Contributor on a tenant to somebody of another one."""
    services = f"/subscriptions/{tenant.id}/providers/Microsoft.ManagedServices"
    definition = f"{services}/registrationDefinitions/{uuid.uuid4()}"
    offer = {
        "registrationDefinitionName": "Machines come and go",
        "managedByTenantId": managing_tenant,
        "authorizations": [{"principalId": object_id, "roleDefinitionId": CONTRIBUTOR}],
    }
    made = tenant.arm("PUT", definition, version="2022-10-01", json={"properties": offer})
    assert made.status_code == 201, made.text
    assignment = f"{services}/registrationAssignments/{uuid.uuid4()}"
    made = tenant.arm("PUT", assignment, version="2022-10-01", json={"properties": {"registrationDefinitionId": definition}})
    assert made.status_code == 201, made.text
