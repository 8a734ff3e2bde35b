"""A tenant of the private cloud that signs its own tokens, and what its people do by all three ways in."""

import json
import time
import uuid

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from demo import wait_for

SCVMM = "2023-10-07"
OWN = "2026-11-01"
MANAGEMENT = "https://management.azure.com"

# From the end of a job to its being seen, on a busy machine.
JOB_S_MAX = 30


class Key:
    """A signing key with its public half as a key set."""

    def __init__(self, kid="k1"):
        self.kid = kid
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public(self):
        jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._private.public_key()))
        return {"keys": [jwk | {"kid": self.kid, "use": "sig", "alg": "RS256"}]}

    def sign(self, claims):
        return jwt.encode(claims, self._private, algorithm="RS256", headers={"kid": self.kid})


class Tenant:
    """A visitor who signed up: account, subscription T, administrator."""

    def __init__(self, demo, name, plan="gold", key=None, **more):
        self.demo, self.name = demo, name
        self.identity = f"anna@{name}.example"
        self.issuer = f"https://login.{name}.example/"
        self.key = key or Key()
        self.object_id = str(uuid.uuid4())
        self.signed_up = requests.post(
            f"{demo.world['private_cloud']}/accounts",
            json={
                "organisation": name.capitalize(),
                "administrator": {"name": f"Anna of {name}", "identity": self.identity, "objectId": self.object_id},
                "issuer": {"name": self.issuer, "keys": self.key.public},
                "planId": plan,
            }
            | more,
            verify=demo.ca_bundle,
            timeout=60,
        )
        if self.signed_up.status_code == 201:
            document = self.signed_up.json()
            self.id, self.tenant_id = document["subscriptionId"], document["tenantId"]

    def token(self, key=None, **claims):
        """An access token of the tenant's own issuer."""
        now = int(time.time())
        return (key or self.key).sign(
            {
                "iss": self.issuer,
                "aud": MANAGEMENT,
                "tid": self.tenant_id,
                "oid": self.object_id,
                "upn": self.identity,
                "name": self.identity,
                "scp": "user_impersonation",
                "ver": "1.0",
                "iat": now,
                "nbf": now,
                "exp": now + 3600,
            }
            | claims
        )

    def colleague(self, object_id=None):
        """A token of somebody else of this tenant."""
        object_id = object_id or str(uuid.uuid4())
        name = f"{object_id[:8]}@{self.name}.example"
        return self.token(oid=object_id, upn=name, name=name)

    def arm(self, method, path, token=None, version=SCVMM, headers=None, **options):
        """A request to the management plane, below the tenant's subscription unless the path says where."""
        path = path if path.startswith(("/subscriptions", "https:")) else f"/subscriptions/{self.id}{path}"
        address = path if path.startswith("https:") else self.demo.gateway + path
        parameters = {} if "api-version=" in address else {"api-version": version}
        headers = {"Authorization": f"Bearer {token or self.token()}"} | (headers or {})
        return requests.request(method, address, params=parameters, headers=headers, verify=self.demo.ca_bundle, timeout=30, **options)

    def tenant_api(self, method, path, token=None, headers=None, **options):
        """A request to the tenant API, by whoever the token says."""
        token = token or self.token()
        principal = jwt.decode(token, options={"verify_signature": False})["oid"]
        headers = {"Authorization": f"Bearer {token}", "x-ms-principal-id": principal} | (headers or {})
        address = self.demo.world["private_cloud"] + path
        return requests.request(method, address, headers=headers, verify=self.demo.ca_bundle, timeout=60, **options)

    @property
    def own_path(self):
        """The path of the tenant as a resource."""
        return f"/subscriptions/{self.id}/providers/Steward.PrivateCloud/tenants/{self.id}"

    def shown(self, token=None):
        """What the tenant is."""
        answer = self.arm("GET", self.own_path, token, version=OWN)
        assert answer.status_code == 200, answer.text
        return answer.json()["properties"]

    def machine_path(self, name, cloud="north-gold"):
        return f"/subscriptions/{self.id}/resourceGroups/{cloud}/providers/Microsoft.HybridCompute/machines/{name}"

    def instance_path(self, name, cloud="north-gold"):
        return f"{self.machine_path(name, cloud)}/providers/Microsoft.ScVmm/virtualMachineInstances/default"

    def deploy(self, name, cloud="north-gold", template="ubuntu-24.04", start=True):
        """Asks for a machine; the answer, and the job at its end."""
        clouds = f"/subscriptions/{self.id}/resourceGroups/{cloud}/providers/Microsoft.ScVmm"
        body = {
            "extendedLocation": {"type": "customLocation", "name": "anything"},
            "properties": {
                "infrastructureProfile": {
                    "cloudId": f"{clouds}/clouds/{cloud}",
                    "templateId": f"{clouds}/virtualMachineTemplates/{template}",
                    "vmName": name,
                },
                "privateCloud": {"start": start},
            },
        }
        answer = self.arm("PUT", self.instance_path(name, cloud), json=body)
        assert answer.status_code == 201, answer.text
        return answer, self.ended(answer.headers["azure-asyncoperation"])

    def ended(self, link, token=None):
        """The job behind a link, once it has ended."""

        def look():
            answer = self.arm("GET", link, token)
            assert answer.status_code == 200, answer.text
            return answer.json() if answer.json()["status"] != "InProgress" else None

        return wait_for("the end of a job", look, JOB_S_MAX)

    def machine(self, name, cloud="north-gold", token=None):
        """What the fabric says of a machine."""
        answer = self.arm("GET", self.instance_path(name, cloud), token)
        assert answer.status_code == 200, answer.text
        return answer.json()["properties"]

    def names(self, token=None):
        """The names of the machines that a list of the whole subscription shows."""
        answer = self.arm("GET", "/providers/Microsoft.ScVmm/virtualMachineInstances", token)
        assert answer.status_code == 200, answer.text
        return sorted(item["properties"]["infrastructureProfile"]["vmName"] for item in answer.json()["value"])


# Of everybody alike.
OFFERED = ("/clouds", "/networks", "/stamps", "/templates")


class Fabric:
    """The controls of the mock fabric, and its operator."""

    def __init__(self, demo, operator_token):
        self.demo, self._token = demo, operator_token
        self.subscription = demo.subscription("ostra-fabric")

    def arm(self, method, path, version=OWN, headers=None, **options):
        """A request of the operator, below the subscription of the fabric."""
        address = f"{self.demo.gateway}/subscriptions/{self.subscription}{path}"
        headers = {"Authorization": f"Bearer {self._token()}"} | (headers or {})
        return requests.request(
            method, address, params={"api-version": version}, headers=headers, verify=self.demo.ca_bundle, timeout=30, **options
        )

    def tenants(self):
        """The ids of all tenants, which have to fit on one page."""
        answer = self.arm("GET", "/providers/Steward.PrivateCloud/tenants")
        assert answer.status_code == 200 and "nextLink" not in answer.json(), answer.text
        return {item["name"] for item in answer.json()["value"]}

    def turn(self, host, power):
        answer = self.arm("POST", f"/providers/Steward.PrivateCloud/hosts/{host}/turn{power.capitalize()}")
        assert answer.status_code == 200, answer.text

    def journal(self):
        """What arrived at the fabric, oldest first."""
        answer = requests.get(f"{self.demo.world['admin']}/mock/fabric/journal", timeout=10)
        answer.raise_for_status()
        return answer.json()

    def mark(self):
        """The number of the last request that arrived at the fabric; -1 when there was none."""
        return max((request["number"] for request in self.journal()["requests"]), default=-1)

    def arrived_since(self, mark):
        """What arrived after that one, but for the gateway's own looks at what the fabric offers."""
        return [request for request in self.journal()["requests"] if request["number"] > mark and request["path"] not in OFFERED]

    def order(self, fault):
        """Has the mock do something else with requests that fit."""
        answer = requests.post(f"{self.demo.world['admin']}/mock/fabric/faults", json=fault, timeout=10)
        assert answer.status_code == 201, answer.text

    def cancel_faults(self):
        requests.delete(f"{self.demo.world['admin']}/mock/fabric/faults", timeout=10).raise_for_status()
