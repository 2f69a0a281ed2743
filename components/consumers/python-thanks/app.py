"""A consumer: thanks for each order. componentize-py makes the modules of `wit_world` from the platform's `wit/`."""

import json

from componentize_py_types import Err
from thanks import thank
from wit_world import exports
from wit_world.exports.consumer import Failure
from wit_world.imports import emitter


class Consumer(exports.Consumer):
    def handle(self, batch: str) -> list[Failure]:
        """Called with a batch, never with the same instance twice: what is to be remembered must be emitted."""
        try:
            thanks, failures = thank(batch)
        except ValueError as mistake:
            raise Err(str(mistake))  # hands the whole batch back
        if thanks:
            emitter.emit(json.dumps(thanks))  # raises Err where it fails, which does the same
        return [Failure(id, retry_after_ms=None, reason=reason) for id, reason in failures]
