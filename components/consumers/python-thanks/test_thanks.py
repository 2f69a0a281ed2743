import json
import unittest

from thanks import thank


def event(id, type, data):
    return {"specversion": "1.0", "id": id, "source": "/shop", "type": type, "data": data}


class Thanks(unittest.TestCase):
    def test_an_order_is_thanked_for_and_a_malformed_one_is_a_failure(self):
        batch = [
            event("1", "order.placed", {"total": 12.5}),
            event("2", "order.placed", {"total": "much"}),
            event("3", "order.placed", None),
            event("4", "order.placed", {"total": True}),
            event("5", "order.cancelled", None),
        ]
        thanks, failures = thank(json.dumps(batch))
        self.assertEqual([(e["id"], e["data"]) for e in thanks], [("/shop#1", {"order": "1", "amount": 12.5})])
        reason = "data.total is not a number"
        self.assertEqual(failures, [("2", reason), ("3", reason), ("4", reason)])
