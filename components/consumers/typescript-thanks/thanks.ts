// What this consumer does, apart from the platform.

interface Event {
  type: string;
  source: string;
  id: string;
  data?: unknown;
}

interface Failure {
  id: string;
  reason: string;
}

const SOURCE = "/consumers/typescript-thanks";

/** The events to emit, and those that could not be handled. */
export function thank(batch: string): { thanks: Event[]; failures: Failure[] } {
  const thanks: Event[] = [];
  const failures: Failure[] = [];
  for (const event of JSON.parse(batch) as Event[]) {
    if (event.type !== "order.placed") continue;
    const total = (event.data as { total?: unknown } | null | undefined)?.total;
    if (typeof total === "number") {
      thanks.push(thanksFor(event, total));
    } else {
      failures.push({ id: event.id, reason: "data.total is not a number" });
    }
  }
  return { thanks, failures };
}

function thanksFor(order: Event, amount: number): Event {
  return {
    type: "order.thanks",
    source: SOURCE,
    // Follows from the order alone: if we get it again, the thanks are the same thanks.
    id: `${order.source}#${order.id}`,
    data: { order: order.id, amount },
  };
}
