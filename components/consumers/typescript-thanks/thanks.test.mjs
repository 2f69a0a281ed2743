import assert from "node:assert/strict";
import test from "node:test";
import { thank } from "./out/thanks.js";

const event = (id, type, data) => ({ specversion: "1.0", id, source: "/shop", type, data });

test("an order is thanked for, and a malformed one is a failure", () => {
  const batch = [
    event("1", "order.placed", { total: 12.5 }),
    event("2", "order.placed", { total: "much" }),
    event("3", "order.placed", null),
    event("4", "order.cancelled", null),
  ];
  const { thanks, failures } = thank(JSON.stringify(batch));
  assert.deepEqual(thanks.map(({ id, data }) => ({ id, data })), [{ id: "/shop#1", data: { order: "1", amount: 12.5 } }]);
  const reason = "data.total is not a number";
  assert.deepEqual(failures, [{ id: "2", reason }, { id: "3", reason }]);
});
