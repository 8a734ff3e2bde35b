"""The Azure CLI as one person uses it: own configuration folder, own sign-in."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from demo import clean_environment

AZ = Path(sys.executable).with_name("az")

# One command. The CLI polls long-running operations, which take a second or two here.
COMMAND_S_MAX = 120


class Ended:
    """A command that has ended."""

    def __init__(self, words, code, stdout, stderr):
        self.words, self.code, self.stdout, self.stderr = words, code, stdout, stderr

    @property
    def json(self):
        return json.loads(self.stdout)

    def succeeded(self):
        assert self.code == 0, f"az {self.words} ended with {self.code}: {self.stderr}"
        return self

    def refused(self, code=1):
        assert self.code == code, f"az {self.words} ended with {self.code} and not {code}: {self.stdout}{self.stderr}"
        return self


class AzureCli:
    """`az` with a configuration folder. What it prints is kept in `logs`, except where it prints a token."""

    def __init__(self, demo, folder, logs):
        self.demo = demo
        self.folder = Path(folder)
        self._logs = Path(logs)
        self._logs.mkdir(parents=True, exist_ok=True)
        self.environment = clean_environment(
            AZURE_CONFIG_DIR=self.folder,
            REQUESTS_CA_BUNDLE=demo.ca_bundle,
            AZURE_CORE_INSTANCE_DISCOVERY="false",
            AZURE_CORE_COLLECT_TELEMETRY="false",
            AZURE_CORE_NO_COLOR="true",
            AZURE_CORE_LOGIN_EXPERIENCE_V2="off",
        )

    def like(self, folder):
        """Somebody else on the same machine: the cloud is registered, nobody is signed in."""
        shutil.copytree(self.folder, folder)
        return AzureCli(self.demo, folder, self._logs)

    def start(self, *arguments):
        """A command that is still running."""
        return subprocess.Popen(
            [AZ, *arguments], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments, keep=True):
        process = self.start(*arguments)
        try:
            stdout, stderr = process.communicate(timeout=COMMAND_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        # The words of the command, without options: these may be secret.
        words = " ".join(word for word in arguments[:3] if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-"))
        if keep:
            self._keep(words, stdout, stderr)
        return Ended(words, process.returncode, stdout, stderr)

    def __call__(self, *arguments):
        """A command that has to succeed."""
        return self.run(*arguments).succeeded()

    def register_cloud(self):
        self("cloud", "register", "-n", "steward", "--endpoint-resource-manager", self.demo.gateway)
        self("cloud", "set", "-n", "steward")

    def sign_in(self, name):
        """As a service principal."""
        identity = self.demo.identity(name)
        secret = ["-u", identity["client_id"], "-p", identity["client_secret"]]
        return self.run("login", "--service-principal", *secret, "--tenant", identity["tenant_id"])

    def token(self, *options):
        """An access token, as scripts take it from the CLI."""
        return self.run("account", "get-access-token", *options, "-o", "json", keep=False).succeeded().json["accessToken"]

    def _keep(self, words, stdout, stderr):
        number = len(os.listdir(self._logs)) + 1
        name = f"{number:03}-{self.folder.name}-{words.replace(' ', '-')}.log"
        (self._logs / name).write_text(f"{stdout}{stderr}")
