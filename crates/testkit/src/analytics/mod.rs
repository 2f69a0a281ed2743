//! What every engine of the analytics is held to: one set of tests, run on each with [`analytics_tests!`].
//!
//! Each test has tenants of its own, so that all of them can share one server, at the same time and again.

mod model;
mod records;
mod suite;

pub use model::expected;
pub use records::{lines, month, record, tenant, LostAnswers};
pub use suite::*;

use std::time::Duration;

use er_analytics::{Analytics, Engine, Error, Options};

/// As in production, but not as patient.
#[must_use]
pub fn options() -> Options {
    Options { linger: Duration::from_millis(20), try_timeout: Duration::from_secs(20), ..Options::default() }
}

/// Inserts, again and again while it may pass: what a caller does that was promised at-least-once.
///
/// # Errors
/// What can't pass.
pub async fn insert_until_in<E: Engine>(analytics: &Analytics<E>, lines: &str) -> Result<(), Error> {
    const PAUSE: Duration = Duration::from_millis(50);
    while let Err(error) = analytics.insert(lines).await {
        if error.retry_after_ms().is_none() {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Runs the set on the engine that `$start` (an `async fn() -> impl Engine`) gives.
#[macro_export]
macro_rules! analytics_tests {
    ($start:path) => {
        $crate::analytics_tests!(
            $start,
            usage_is_told_by_each_window,
            a_window_that_sticks_out_is_cut,
            a_record_counts_once_however_often_it_comes,
            of_two_records_of_a_key_the_smaller_counts_by_meter,
            a_tenant_sees_its_own,
            blocks_of_ten_thousand_rows_are_whole,
            no_text_is_taken_for_sql,
            three_thousand_windows_are_the_most,
            a_sum_too_great_is_an_error_and_not_a_wrap,
            what_is_no_longer_kept_is_not_told,
            a_full_buffer_pushes_back,
            an_answer_that_was_lost_counts_nothing_twice,
            random_records_add_up_as_the_ledger_says,
        );
    };
    ($start:path, $($test:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let engine = $start().await;
                $crate::analytics::$test(engine).await.unwrap();
            }
        )*
    };
}
