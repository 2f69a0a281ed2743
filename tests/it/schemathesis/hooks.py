"""What Schemathesis does not know by itself: two kinds of bytes."""

import schemathesis

schemathesis.serializer.alias(["application/gzip", "application/wasm"], "application/octet-stream")
