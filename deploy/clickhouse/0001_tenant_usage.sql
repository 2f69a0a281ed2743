-- Usage records as docs/billing.md has them, a row each: what one step used for one tenant in one batch.
--
-- (tenant_id, timestamp, id) is the key. Rows of one key become one in merges, and of what they say the smaller counts,
-- column by column; until then a reader has to do the same: GROUP BY the key and take min() first, then add up.
CREATE TABLE IF NOT EXISTS tenant_usage
(
    tenant_id LowCardinality(String) COMMENT 'the tenant',
    timestamp DateTime('UTC') COMMENT 'the minute in which the platform took the batch in hand: where it counts',
    id String COMMENT 'the batch: the step and its sequence, as deliver.7204' CODEC(ZSTD(1)),
    events_in SimpleAggregateFunction(min, UInt64) COMMENT 'events that were let in',
    events_out SimpleAggregateFunction(min, UInt64) COMMENT 'events that left',
    network_ingress SimpleAggregateFunction(min, UInt64) COMMENT 'bytes of the events that were let in (meter bytes_in)',
    network_egress SimpleAggregateFunction(min, UInt64) COMMENT 'bytes of the events that left (meter bytes_out)',
    rule_evaluations SimpleAggregateFunction(min, UInt64) COMMENT 'rules that were evaluated',
    deliveries SimpleAggregateFunction(min, UInt64) COMMENT 'attempts to deliver one event to one consumer',
    cpu_usage SimpleAggregateFunction(min, UInt64) COMMENT 'microseconds of wall time inside consumers (meter consumer_us)',
    memory_usage SimpleAggregateFunction(min, UInt64) COMMENT 'MiB of memory limit times microseconds (meter memory_mib_us)'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(timestamp)
PRIMARY KEY (tenant_id, timestamp)
ORDER BY (tenant_id, timestamp, id)
-- This month and the 14 before it: an invoice can be proved, and late usage corrected, for a year after its month, with
-- two months to spare. Whole months go at once, for half a month would be a wrong sum. crates/analytics/src/retention.rs
-- refuses questions about what is gone, and has the same number.
TTL toStartOfMonth(timestamp) + INTERVAL 15 MONTH
SETTINGS
    ttl_only_drop_parts = 1,
    -- The message a record came in is acknowledged after the insert, so the insert has to be on the disk; and so has the
    -- part that a merge makes of it, before the parts it was made of are removed.
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    -- No deduplication window: the key makes a repeated block harmless. With one, a server notes the token of a block
    -- just before it makes the block visible; if it dies in between, the repeat is taken for known and is lost.
    non_replicated_deduplication_window = 0;
