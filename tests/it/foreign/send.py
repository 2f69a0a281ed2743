"""Sends events with the CloudEvents SDK of PyPI, and says on a line each what it sent and what was answered."""

import base64
import json
import sys

import requests
from cloudevents.conversion import to_binary, to_json, to_structured
from cloudevents.http import CloudEvent

url, key = sys.argv[1:]
session = requests.Session()
session.headers["authorization"] = f"Bearer {key}"

DATA = {
    "object": {"text": "«größer» 日本語 😀", "list": [1, 2.5, None, True], "nested": {"a": {}}},
    "list": [1, "2", [3]],
    "text": "plain text",
    "number": 42,
    "bytes": bytes(range(256)),
}


def make(mode, name, data):
    attributes = {
        "id": f"py-{mode}-{name}",
        "source": "https://example.com/python",
        "type": "com.example.python",
        "subject": "orders/7",
        "time": "2024-05-06T07:08:09.123456+00:00",
        "myextension": "yes",
    }
    if isinstance(data, bytes):
        attributes["datacontenttype"] = "application/octet-stream"
    elif mode == "binary":
        attributes["datacontenttype"] = "application/json"
    return CloudEvent(attributes, data)


def tell(mode, event, answer):
    sent = {
        "mode": mode,
        "id": event["id"],
        "source": event["source"],
        "status": answer.status_code,
        "answer": answer.text,
        "attributes": {name: event[name] for name in event if name != "datacontenttype"},
    }
    if isinstance(event.data, bytes):
        sent["base64"] = base64.b64encode(event.data).decode()
    else:
        sent["data"] = event.data
    print(json.dumps(sent))


for name, data in DATA.items():
    for mode, encode in (("binary", to_binary), ("structured", to_structured)):
        event = make(mode, name, data)
        headers, body = encode(event)
        tell(mode, event, session.post(url, headers=headers, data=body, timeout=30))

# The SDK has no batch of its own: a batch is an array of what it makes for one.
events = [make("batch", name, data) for name, data in DATA.items()]
body = b"[" + b",".join(to_json(event) for event in events) + b"]"
answer = session.post(url, headers={"content-type": "application/cloudevents-batch+json"}, data=body, timeout=30)
receipts = [receipt["id"] for receipt in answer.json().get("receipts", [])]
assert receipts == [event["id"] for event in events], answer.text
for event in events:
    tell("batch", event, answer)
