-- Sums by tenant and minute, for dashboards, filled from each insert into tenant_usage.
--
-- Not for bills: a record that comes again in another block than before counts again here, for this view sees blocks
-- and not keys. A block that is sent again whole is known by its token (the window below). Read it with sum() and
-- GROUP BY: rows of one key become one in merges.
CREATE TABLE IF NOT EXISTS events_by_minute
(
    tenant_id LowCardinality(String) COMMENT 'the tenant',
    minute DateTime('UTC') COMMENT 'begin of the minute',
    events_in UInt64 COMMENT 'events that were let in',
    events_out UInt64 COMMENT 'events that left',
    bytes UInt64 COMMENT 'bytes of both',
    deliveries UInt64 COMMENT 'attempts to deliver one event to one consumer'
)
ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (tenant_id, minute)
TTL toStartOfMonth(minute) + INTERVAL 15 MONTH
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS events_by_minute_view TO events_by_minute AS
SELECT
    tenant_id,
    timestamp AS minute,
    sum(tenant_usage.events_in) AS events_in,
    sum(tenant_usage.events_out) AS events_out,
    sum(network_ingress + network_egress) AS bytes,
    sum(tenant_usage.deliveries) AS deliveries
FROM tenant_usage
GROUP BY tenant_id, minute;
