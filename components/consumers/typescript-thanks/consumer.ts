// A consumer: thanks for each order. `jco guest-types` makes the types of `eventrunner:platform` from the platform's wit/.

import { emit } from "eventrunner:platform/emitter@0.1.0";
import type { Failure } from "eventrunner:platform/consumer@0.1.0";
import { thank } from "./thanks.ts";

export const consumer = {
  /** Called with a batch, never with the same instance twice: what is to be remembered must be emitted. */
  handle(batch: string): Failure[] {
    const { thanks, failures } = thank(batch);
    if (thanks.length > 0) {
      emit(JSON.stringify(thanks)); // throws, which hands the whole batch back
    }
    return failures;
  },
};
