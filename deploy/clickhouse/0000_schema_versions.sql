-- Which of these files a database has. Run before each look at it, and so never changed.
--
-- Every file here is run in order, once, in the database that is in use, by whichever provider meets it first: the same
-- files on a ClickHouse server and on chDB. A file is never changed once it was released; a change is a new file.
-- Every statement can be repeated: two providers may start at once, and one may die half way.
CREATE TABLE IF NOT EXISTS schema_versions
(
    version UInt32 COMMENT 'the number a file in deploy/clickhouse begins with',
    name String COMMENT 'the file',
    applied_at DateTime('UTC') DEFAULT now('UTC')
)
ENGINE = MergeTree
ORDER BY version
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
