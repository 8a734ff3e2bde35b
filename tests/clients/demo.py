"""The demo as a program under test: started as a user would start it, ended by SIGTERM."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("STEWARD_BIN", ROOT / "target/release/steward"))

# A debug build on a busy machine takes a few seconds.
START_S_MAX = 60
STOP_S_MAX = 30

# Settings of whoever runs the tests that would change what a client does.
_FOREIGN_PREFIXES = ("AZURE_", "ARM_", "STEWARD_", "MSAL_")
_FOREIGN = {
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
}


def clean_environment(**settings):
    """The environment of a client: ours, without what would mislead it, with `settings`."""
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN and not name.startswith(_FOREIGN_PREFIXES)}
    return kept | {name: str(value) for name, value in settings.items()}


def wait_for(what, ready, seconds_max, pause_s=0.05):
    """The first true answer of `ready`; fails when there is none in time."""
    deadline = time.monotonic() + seconds_max
    while True:
        answer = ready()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds_max} s in vain for {what}"
        time.sleep(pause_s)


class Demo:
    """One run of `steward demo` in `folder`, which keeps its output, records and state."""

    def __init__(self, folder, *options):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state = self.folder / "state"
        self.certificates = self.folder / "certs"
        self._described = self.folder / "world.json"
        self._described.unlink(missing_ok=True)
        self.stdout_path = self.folder / "demo.stdout.log"
        self.stderr_path = self.folder / "demo.stderr.log"
        command = [PROGRAM, "demo", "--ports", "auto", "--folder", self.state, "--certs", self.certificates, "--describe", self._described]
        with open(self.stdout_path, "wb") as stdout, open(self.stderr_path, "wb") as stderr:
            self._process = subprocess.Popen(
                [*command, *options], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=clean_environment(STEWARD_LOG="debug")
            )
        try:
            wait_for("the description of the demo", self._is_described, START_S_MAX)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self.world = json.loads(self._described.read_text())

    def _is_described(self):
        code = self._process.poll()
        assert code is None, f"the demo ended with exit code {code}: {self.stderr_path.read_text()}"
        return self._described.exists() and "Ctrl-C" in self.printed()

    def printed(self):
        """What it wrote to standard output so far."""
        return self.stdout_path.read_text()

    def stop(self):
        """Ends it as a service manager would; gives the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    @property
    def gateway(self):
        return self.world["gateway"]

    @property
    def authority(self):
        return self.world["authority"]

    @property
    def ca_bundle(self):
        return self.world["ca_bundle"]

    def tenant(self, name):
        """The id of a tenant."""
        return self.world["tenants"][name]["id"]

    def subscription(self, name):
        """The id of a subscription."""
        return self.world["subscriptions"][name]["id"]

    def identity(self, name):
        """How somebody signs in, with the id of the home tenant."""
        identity = self.world["identities"][name]
        return identity | {"tenant_id": self.tenant(identity["tenant"])}

    def steward(self, *arguments):
        """Runs the program beside the demo, as in a second terminal."""
        command = [PROGRAM, "--server", self.world["admin"], *arguments]
        return subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=30)
