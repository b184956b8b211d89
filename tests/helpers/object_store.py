"""A server that speaks S3, on this machine, and a log of its requests."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from helpers.lazy_modules import LazyModule

boto3 = LazyModule("boto3")
moto_server = LazyModule("moto.server")


CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class RequestLog(logging.Handler):
    """The requests that the server has answered: "PUT /bucket/run/manifest.json"."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if '"' in line:
            self.requests.append(line.split('"')[1].rpartition(" HTTP")[0])


class ObjectStore:
    def __init__(self, port: int, request_log: RequestLog) -> None:
        self.port, self.request_log = port, request_log
        self.client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")

    def url(self, bucket: str) -> str:
        """Return the URL of a run in a new bucket."""
        self.client.create_bucket(Bucket=bucket)
        return f"s3://{bucket}/run?scheme=http&endpoint_override=127.0.0.1:{self.port}"

    def keys(self, bucket: str) -> list[str]:
        return sorted(each["Key"] for each in self.client.list_objects_v2(Bucket=bucket).get("Contents", []))


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    before = {name: os.environ.get(name) for name in CREDENTIALS}
    os.environ.update(CREDENTIALS)
    log, request_log = logging.getLogger("werkzeug"), RequestLog()
    level = log.level
    log.addHandler(request_log)
    log.setLevel(logging.INFO)
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        yield ObjectStore(server.get_host_and_port()[1], request_log)
    finally:
        server.stop()
        log.removeHandler(request_log)
        log.setLevel(level)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
