"""Publishes events with Python's grpcio, in every way there is, and says on a line each what it sent and was answered.

    python send.py ADDRESS KEY      (ADDRESS: host:port)
"""

import base64
import importlib.resources
import json
import pathlib
import sys
import tempfile

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

# What `python -m grpc_tools.protoc` does: modules out of the .proto files.
protos = pathlib.Path(__file__).parents[4] / "deploy/proto"
made = tempfile.TemporaryDirectory()
files = ["io/cloudevents/v1/cloudevents.proto", "eventrunner/v1/ingest.proto"]
options = [f"-I{protos}", f"--python_out={made.name}", f"--grpc_python_out={made.name}"]
include = str(importlib.resources.files("grpc_tools") / "_proto")
assert protoc.main(["protoc", *options, f"-I{include}", *files]) == 0
# The package `io` is Python's own: the event's module is found by its path.
sys.path.insert(0, made.name)
import io  # noqa: E402

io.__path__ = [f"{made.name}/io"]
from eventrunner.v1 import ingest_pb2_grpc  # noqa: E402
from io.cloudevents.v1.cloudevents_pb2 import CloudEvent, CloudEventBatch  # noqa: E402

address, key = sys.argv[1:]
ingest = ingest_pb2_grpc.IngestStub(grpc.insecure_channel(address))
call = {"metadata": [("authorization", f"Bearer {key}")], "timeout": 30}

DATA = {
    "object": {"text": "«größer» 日本語 😀", "list": [1, 2.5, None, True], "nested": {"a": {}}},
    "list": [1, "2", [3]],
    "text": "plain text",
    "bytes": bytes(range(256)),
}


def make(mode, name, data):
    event = CloudEvent(
        id=f"py-{mode}-{name}", source="https://example.com/python", spec_version="1.0", type="com.example.python"
    )
    event.attributes["subject"].ce_string = "orders/7"
    event.attributes["time"].ce_timestamp.FromJsonString("2024-05-06T07:08:09.123456Z")
    event.attributes["sampled"].ce_boolean = True
    event.attributes["attempt"].ce_integer = -7
    event.attributes["homepage"].ce_uri = "https://example.com"
    if isinstance(data, bytes):
        event.attributes["datacontenttype"].ce_string = "application/octet-stream"
        event.binary_data = data
    elif isinstance(data, str):
        event.attributes["datacontenttype"].ce_string = "text/plain"
        event.text_data = data
    else:
        event.attributes["datacontenttype"].ce_string = "application/json"
        event.text_data = json.dumps(data)
    return event


def tell(mode, event, data, receipt):
    attributes = {"id": event.id, "source": event.source, "type": event.type, "specversion": event.spec_version}
    for name, value in event.attributes.items():
        kind = value.WhichOneof("attr")
        attributes[name] = value.ce_timestamp.ToJsonString() if kind == "ce_timestamp" else getattr(value, kind)
    carried = {"base64": base64.b64encode(data).decode()} if isinstance(data, bytes) else {"data": data}
    line = {"mode": mode, "id": event.id, "source": event.source, "receipt": receipt.id}
    print(json.dumps({**line, "attributes": attributes, **carried}))


for name, data in DATA.items():
    event = make("one", name, data)
    tell("one", event, data, ingest.Publish(event, **call).receipt)

events = [make("batch", name, data) for name, data in DATA.items()]
receipts = ingest.PublishBatch(CloudEventBatch(events=events), **call).receipts
for event, data, receipt in zip(events, DATA.values(), receipts, strict=True):
    tell("batch", event, data, receipt)

# A generator is sent from while answers are read: as many as come, in order.
events = [make("stream", name, data) for name, data in DATA.items()]
outcomes = [outcome for answer in ingest.PublishStream(iter(events), **call) for outcome in answer.outcomes]
for event, data, outcome in zip(events, DATA.values(), outcomes, strict=True):
    tell("stream", event, data, outcome.receipt)

# What is wrong is told in details that any gRPC library reads.
wrong = make("refused", "list", [])
wrong.ClearField("type")
try:
    ingest.PublishBatch(CloudEventBatch(events=[make("refused", "text", ""), wrong]), **call)
    raise AssertionError("an event without a type was taken")
except grpc.RpcError as error:
    details = rpc_status.from_call(error).details
    violations = error_details_pb2.BadRequest()
    assert any(detail.Unpack(violations) for detail in details), details
    refused = {"code": error.code().name, "field": violations.field_violations[0].field, "message": error.details()}
    print(json.dumps({"mode": "refused", **refused}))
