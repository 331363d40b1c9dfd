"""A server that speaks S3 on this machine: fixtures that all tests may ask for. Google's and Azure's cannot be tried so."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

SECRET_KEY = "much-too-secret"

SERVER_PROGRAM = """
import logging, sys, threading
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)

# S3 looks at a condition and writes in one step; moto does in two.
one_at_a_time, put = threading.Lock(), S3Response.put_object
def put_alone(self):
    with one_at_a_time:
        return put(self)
S3Response.put_object = put_alone

api = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
api.start()
print("http://{}:{}".format(*api.get_host_and_port()), flush=True)
sys.stdin.read()
api.stop()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Runs in a process of its own: deltalake lets no other thread run while it waits for an answer."""
    command = [sys.executable, "-c", SERVER_PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the store; it and exports find it by the environment."""
    settings = {
        "AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "name", "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    import boto3  # takes long, and all tests know this module

    post_to_server(server, "reset")
    client = boto3.client("s3")
    client.create_bucket(Bucket="lake")
    yield client
    client.close()


def post_to_server(server: str, what: str, body: bytes = b"") -> None:
    headers = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(f"{server}/moto-api/{what}", body, headers)).close()
