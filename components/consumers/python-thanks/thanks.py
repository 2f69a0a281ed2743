"""What this consumer does, apart from the platform: plain Python, tried by `python3 -m unittest`."""

import json

SOURCE = "/consumers/python-thanks"


def thank(batch):
    """The events to emit, and (id, reason) of each event that could not be handled."""
    thanks, failures = [], []
    for event in json.loads(batch):
        if event["type"] != "order.placed":
            continue
        try:
            thanks.append(thanks_for(event))
        except ValueError as mistake:
            failures.append((event["id"], str(mistake)))
    return thanks, failures


def thanks_for(order):
    data = order.get("data")
    total = data.get("total") if isinstance(data, dict) else None
    if isinstance(total, bool) or not isinstance(total, (int, float)):
        raise ValueError("data.total is not a number")
    return {
        "type": "order.thanks",
        "source": SOURCE,
        # Follows from the order alone: if we get it again, the thanks are the same thanks.
        "id": f"{order['source']}#{order['id']}",
        "data": {"order": order["id"], "amount": total},
    }
