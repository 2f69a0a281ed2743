//! The tests.

use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_analytics::{kept_from, system_clock, Analytics, Engine, Error, Options, Statement};
use er_metering::{Meter, Period, Record, Time, Window};
use futures::future::{join_all, try_join_all};

use super::{expected, lines, month, options, record, tenant, LostAnswers};
use crate::Rng;

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// Records of one call: well below 512 KiB.
const CALL_RECORDS: usize = 2_500;

/// Usage as the interface tells it.
pub async fn usage<E: Engine>(
    analytics: &Analytics<E>,
    tenant: &str,
    period: Period,
    window: Window,
) -> Result<String, Error> {
    let us = |time: Time| u64::try_from(time.us()).unwrap_or_default();
    analytics.usage(tenant, us(period.from()), us(period.to()), window.name()).await
}

/// Holds what is told to what the ledger says, by every window.
async fn check<E: Engine>(
    analytics: &Analytics<E>,
    records: &[Record],
    tenant: &str,
    period: Period,
) -> anyhow::Result<()> {
    for window in Window::ALL {
        let told = usage(analytics, tenant, period, window).await?;
        let expected = expected(records, tenant, period, window)?;
        ensure!(told == expected, "{tenant} in {period} by {}: {told}, and not {expected}", window.name());
    }
    Ok(())
}

/// All meters, told apart by their size.
fn all_meters(unit: u64) -> Vec<(Meter, u64)> {
    Meter::ALL.into_iter().zip(1..).map(|(meter, place)| (meter, unit * place)).collect()
}

pub async fn usage_is_told_by_each_window(engine: impl Engine) -> anyhow::Result<()> {
    let analytics = Analytics::start(engine, options());
    let (tenant, month) = (tenant("windows"), month(1)?);
    let mut records = Vec::new();
    for (place, after_us) in
        [0, MINUTE_US, 59 * MINUTE_US, HOUR_US, DAY_US - MINUTE_US, DAY_US, 27 * DAY_US].into_iter().enumerate()
    {
        let unit = 1 << place;
        records.push(record(&tenant, &format!("a.{place}"), month.from().plus_us(after_us)?, &all_meters(unit))?);
        records.push(record(
            &tenant,
            &format!("b.{place}"),
            month.from().plus_us(after_us)?,
            &all_meters(unit * 1000),
        )?);
    }
    analytics.insert(&lines(&records)?).await?;
    check(&analytics, &records, &tenant, month).await?;
    let first = Period::new(month.from(), month.from().plus_us(MINUTE_US)?)?;
    let told = usage(&analytics, &tenant, first, Window::Minute).await?;
    let spelt = format!(
        r#"[["{}",{{"events_in":1001,"events_out":2002,"bytes_in":3003,"bytes_out":4004,"rule_evaluations":5005,"deliveries":6006,"consumer_us":7007,"memory_mib_us":8008}}]]"#,
        month.from()
    );
    ensure!(told == spelt, "{told}");
    let nothing = usage(&analytics, "nobody", month, Window::Day).await?;
    ensure!(nothing == "[]", "{nothing}");
    Ok(())
}

pub async fn a_window_that_sticks_out_is_cut(engine: impl Engine) -> anyhow::Result<()> {
    let analytics = Analytics::start(engine, options());
    let (tenant, border) = (tenant("borders"), month(1)?.from());
    // Around the border of two months, which is one of two days and two hours too.
    let minutes = [-24 * 60, -1500, -61, -60, -31, -30, -1, 0, 1, 29, 30, 59, 60, 24 * 60];
    let at = |minute: i64| border.plus_us(minute * MINUTE_US);
    let records = minutes
        .iter()
        .map(|minute| record(&tenant, &format!("m{minute}"), at(*minute)?, &[(Meter::EventsIn, 1)]))
        .collect::<anyhow::Result<Vec<_>>>()?;
    analytics.insert(&lines(&records)?).await?;
    for (from, to) in [(-1500, 1441), (-30, 30), (-31, 31), (0, 1), (-1, 0), (-1, 1), (1, 60), (-60, -30)] {
        check(&analytics, &records, &tenant, Period::new(at(from)?, at(to)?)?).await?;
    }
    let told = usage(&analytics, &tenant, Period::new(at(-30)?, at(30)?)?, Window::Month).await?;
    let spelt = format!(r#"[["{}",{{"events_in":2}}],["{border}",{{"events_in":3}}]]"#, at(-30)?);
    ensure!(told == spelt, "the first window is cut, and the end is not in it: {told}");
    Ok(())
}

pub async fn a_record_counts_once_however_often_it_comes(engine: impl Engine) -> anyhow::Result<()> {
    let analytics = Analytics::start(engine, options());
    let (tenant, month) = (tenant("once"), month(0)?);
    let records = (0..40)
        .map(|place: i64| {
            let time = month.from().plus_us((place % 7) * MINUTE_US)?;
            record(&tenant, &format!("deliver.{place}"), time, &all_meters(place.unsigned_abs() + 1))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    // In one call, in one block, and in another block.
    let twice = [&records[..], &records[..]].concat();
    analytics.insert(&lines(&twice)?).await?;
    try_join_all([analytics.insert(&lines(&records)?), analytics.insert(&lines(&records[..20])?)]).await?;
    analytics.insert(&lines(&records[30..])?).await?;
    // Among others, each in other company than before.
    for place in 0..5 {
        let other = record(&tenant, &format!("ingest.{place}"), month.from(), &[(Meter::EventsOut, 1)])?;
        let mixed = [&records[place * 3..place * 5 + 1], std::slice::from_ref(&other)].concat();
        analytics.insert(&lines(&mixed)?).await?;
        analytics.insert(&lines(std::slice::from_ref(&other))?).await?;
    }
    let others = (0..5)
        .map(|place| record(&tenant, &format!("ingest.{place}"), month.from(), &[(Meter::EventsOut, 1)]))
        .collect::<anyhow::Result<Vec<_>>>()?;
    check(&analytics, &[records, others].concat(), &tenant, month).await
}

pub async fn of_two_records_of_a_key_the_smaller_counts_by_meter(engine: impl Engine) -> anyhow::Result<()> {
    let analytics = Analytics::start(engine, options());
    let (tenant, month) = (tenant("smaller"), month(0)?);
    let say = |id: &str, used: &[(Meter, u64)]| record(&tenant, id, month.from(), used);
    let rivals = [
        say("a", &[(Meter::EventsIn, 5), (Meter::BytesIn, 100), (Meter::Deliveries, 1)])?,
        say("a", &[(Meter::EventsIn, 3), (Meter::BytesIn, 200)])?,
        say("a", &[(Meter::EventsIn, 4), (Meter::BytesIn, 150), (Meter::ConsumerUs, 9)])?,
        // What they leave of this one is nothing.
        say("b", &[(Meter::EventsOut, 1)])?,
        say("b", &[(Meter::RuleEvaluations, 1)])?,
    ];
    for rival in &rivals {
        analytics.insert(&lines(std::slice::from_ref(rival))?).await?;
    }
    let told = usage(&analytics, &tenant, month, Window::Month).await?;
    let spelt = format!(r#"[["{}",{{"events_in":3,"bytes_in":100}}]]"#, month.from());
    ensure!(told == spelt, "before a merge: {told}");
    analytics.engine().run(Statement::new("OPTIMIZE TABLE tenant_usage FINAL")).await.map_err(Error::from)?;
    let told = usage(&analytics, &tenant, month, Window::Month).await?;
    ensure!(told == spelt, "after a merge: {told}");
    Ok(())
}

pub async fn a_tenant_sees_its_own(engine: impl Engine) -> anyhow::Result<()> {
    let analytics = Analytics::start(engine, options());
    let (one, month) = (tenant("own"), month(0)?);
    // Its name begins like the other's, and so do its ids.
    let other = format!("{one}-2");
    let records = [
        record(&one, "a", month.from(), &[(Meter::EventsIn, 1)])?,
        record(&other, "a", month.from(), &[(Meter::EventsIn, 10)])?,
        record(&other, "b", month.from(), &[(Meter::EventsIn, 100)])?,
    ];
    analytics.insert(&lines(&records)?).await?;
    check(&analytics, &records, &one, month).await?;
    check(&analytics, &records, &other, month).await
}

pub async fn blocks_of_ten_thousand_rows_are_whole(engine: impl Engine) -> anyhow::Result<()> {
    let analytics = Analytics::start(engine, Options { linger: Duration::from_millis(200), ..options() });
    let (tenant, month) = (tenant("blocks"), month(0)?);
    let records = (0..25_000)
        .map(|place: i64| {
            let time = month.from().plus_us((place % 1000) * MINUTE_US)?;
            record(&tenant, &format!("deliver.{place}"), time, &[(Meter::Deliveries, 1), (Meter::BytesOut, 600)])
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let calls = records.chunks(CALL_RECORDS).map(lines).collect::<anyhow::Result<Vec<_>>>()?;
    try_join_all(calls.iter().map(|call| analytics.insert(call))).await?;
    check(&analytics, &records, &tenant, month).await
}

pub async fn no_text_is_taken_for_sql(engine: impl Engine) -> anyhow::Result<()> {
    let analytics = Analytics::start(engine, options());
    let (tenant, month) = (tenant("texts"), month(0)?);
    let ids = [
        "'); DROP TABLE tenant_usage; --",
        "\\'; DROP TABLE tenant_usage; --",
        "{tenant:String}",
        "a\\nb\\",
        "`\"/* ",
        "größer 😀",
        "\\N",
        &"x".repeat(256),
    ];
    let records = ids
        .iter()
        .map(|id| record(&tenant, id, month.from(), &[(Meter::EventsIn, 1)]))
        .collect::<anyhow::Result<Vec<_>>>()?;
    analytics.insert(&lines(&records)?).await?;
    analytics.insert(&lines(&records)?).await?;
    check(&analytics, &records, &tenant, month).await?;
    for name in
        [format!("{tenant}' OR '1'='1"), format!("{tenant}\\"), format!("{tenant}\0"), "%".into(), String::new()]
    {
        let told = usage(&analytics, &name, month, Window::Month).await;
        ensure!(matches!(told, Err(Error::Invalid(_))), "{name:?}: {told:?}");
    }
    // As the engine gets it, whoever checks before: nobody is called so.
    let count = "SELECT count() FROM tenant_usage WHERE tenant_id = {tenant:String}";
    for name in [format!("{tenant}' OR '1'='1"), format!("{tenant}\\"), "\\' OR 1 = 1 --\t\n".into()] {
        let told = analytics.engine().run(Statement::new(count).param("tenant", &name)).await.map_err(Error::from)?;
        ensure!(told.trim_ascii() == b"0", "{name:?}: {told:?}");
    }
    Ok(())
}

pub async fn three_thousand_windows_are_the_most(engine: impl Engine) -> anyhow::Result<()> {
    let analytics = Analytics::start(engine, options());
    let (tenant, month) = (tenant("many"), month(1)?);
    let records = (0..3_001)
        .map(|place: i64| {
            record(&tenant, &format!("i{place}"), month.from().plus_us(place * MINUTE_US)?, &[(Meter::EventsIn, 1)])
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    for call in records.chunks(CALL_RECORDS) {
        analytics.insert(&lines(call)?).await?;
    }
    let until =
        |minutes: i64| Ok::<_, anyhow::Error>(Period::new(month.from(), month.from().plus_us(minutes * MINUTE_US)?)?);
    let told = usage(&analytics, &tenant, until(3_000)?, Window::Minute).await?;
    ensure!(told.matches("events_in").count() == 3_000, "{told}");
    let refused = usage(&analytics, &tenant, until(3_001)?, Window::Minute).await;
    ensure!(refused == Err(Error::Windows), "{refused:?}");
    ensure!(usage(&analytics, &tenant, until(3_001)?, Window::Hour).await.is_ok());
    Ok(())
}

pub async fn a_sum_too_great_is_an_error_and_not_a_wrap(engine: impl Engine) -> anyhow::Result<()> {
    // 2^14 records of 2^50 are 2^64: nothing, in 64 bits.
    const RECORDS: i64 = 1 << 14;
    let analytics = Analytics::start(engine, options());
    let (tenant, month) = (tenant("great"), month(0)?);
    let records = (0..RECORDS)
        .map(|place| {
            let time = month.from().plus_us((place % 2) * HOUR_US)?;
            record(&tenant, &format!("i{place}"), time, &[(Meter::BytesIn, 1 << 50)])
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    for call in records.chunks(CALL_RECORDS) {
        analytics.insert(&lines(call)?).await?;
    }
    for window in [Window::Month, Window::Hour] {
        let told = usage(&analytics, &tenant, month, window).await;
        ensure!(told == Err(Error::Overflow), "{told:?}");
    }
    Ok(())
}

pub async fn what_is_no_longer_kept_is_not_told(engine: impl Engine) -> anyhow::Result<()> {
    let analytics = Analytics::start(engine, options());
    let kept_from = kept_from(system_clock()());
    let (before, tenant) = (kept_from.plus_us(-MINUTE_US)?, tenant("gone"));
    let told = usage(&analytics, &tenant, Period::new(before, month(0)?.to())?, Window::Month).await;
    ensure!(told == Err(Error::Gone { kept_from }), "{told:?}");
    let oldest = [record(&tenant, "a", kept_from, &[(Meter::EventsIn, 1)])?];
    analytics.insert(&lines(&oldest)?).await?;
    check(&analytics, &oldest, &tenant, Period::new(kept_from, month(0)?.to())?).await
}

pub async fn a_full_buffer_pushes_back(engine: impl Engine) -> anyhow::Result<()> {
    let options = Options { buffer_rows_max: 10_000, linger: Duration::from_millis(100), ..options() };
    let analytics = Analytics::start(engine, options);
    let (tenant, month) = (tenant("full"), month(0)?);
    let records = (0..15_000)
        .map(|place: i64| {
            let time = month.from().plus_us((place % 100) * MINUTE_US)?;
            record(&tenant, &format!("i{place}"), time, &[(Meter::EventsIn, 1)])
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let calls = records.chunks(CALL_RECORDS).map(lines).collect::<anyhow::Result<Vec<_>>>()?;
    let answers = join_all(calls.iter().map(|call| analytics.insert(call))).await;
    let refused = answers.iter().filter(|answer| **answer == Err(Error::Full)).count();
    ensure!(refused == 2 && answers.iter().filter(|answer| answer.is_ok()).count() == 4, "{answers:?}");
    let taken: Vec<Record> = records
        .chunks(CALL_RECORDS)
        .zip(&answers)
        .filter(|(_, answer)| answer.is_ok())
        .flat_map(|(call, _)| call.to_vec())
        .collect();
    check(&analytics, &taken, &tenant, month).await?;
    for (call, _) in calls.iter().zip(&answers).filter(|(_, answer)| answer.is_err()) {
        analytics.insert(call).await?;
    }
    check(&analytics, &records, &tenant, month).await
}

pub async fn an_answer_that_was_lost_counts_nothing_twice(engine: impl Engine) -> anyhow::Result<()> {
    let analytics = Analytics::start(LostAnswers::new(engine, 2), options());
    let (tenant, month) = (tenant("lost"), month(0)?);
    let records = [
        record(&tenant, "a", month.from(), &[(Meter::EventsIn, 7), (Meter::BytesIn, 100), (Meter::BytesOut, 11)])?,
        record(&tenant, "b", month.from(), &[(Meter::EventsOut, 3), (Meter::Deliveries, 4)])?,
        // Of another partition.
        record(&tenant, "c", month.from().plus_us(-MINUTE_US)?, &[(Meter::EventsIn, 1)])?,
    ];
    analytics.insert(&lines(&records)?).await?;
    let both = Period::new(month.from().plus_us(-MINUTE_US)?, month.to())?;
    check(&analytics, &records, &tenant, both).await?;
    // The dashboards' table knows no keys: it relies on the token.
    let sums =
        "SELECT minute = toDateTime({month:UInt32}, 'UTC') AS now, sum(events_in), sum(events_out), sum(bytes), \
                sum(deliveries) FROM events_by_minute WHERE tenant_id = {tenant:String} GROUP BY now ORDER BY now";
    let sums = Statement::new(sums).param("tenant", &tenant).param("month", month.from().us() / 1_000_000);
    let told = analytics.engine().run(sums).await.map_err(Error::from)?;
    ensure!(told.trim_ascii() == b"0\t1\t0\t0\t0\n1\t7\t3\t111\t4", "{told:?}");
    Ok(())
}

pub async fn random_records_add_up_as_the_ledger_says(engine: impl Engine) -> anyhow::Result<()> {
    const CALLS: usize = 60;
    let mut rng = Rng::new(Rng::seed("random_records_add_up_as_the_ledger_says"));
    let analytics = Analytics::start(engine, options());
    let tenants: Vec<String> = (0..4).map(|_| tenant("random")).collect();
    let (earlier, later) = (month(2)?, month(1)?);
    let whole = Period::new(earlier.from(), later.to())?;
    let minutes = usize::try_from(whole.minutes())?;
    let mut records: Vec<Record> = Vec::new();
    let mut calls = Vec::new();
    for call in 0..CALLS {
        let mut batch = Vec::new();
        for place in 0..1 + rng.below(80) {
            // One in three has been before.
            if let Some(again) = rng.pick(&records).filter(|_| call % 3 == 0) {
                batch.push(again.clone());
            }
            // Mostly around the border of the months, so that minutes and hours are shared.
            let near = usize::try_from(earlier.minutes())? - 90 + rng.below(180);
            let minute = i64::try_from(if place % 5 == 0 { rng.below(minutes) } else { near })?;
            let mut used = vec![(Meter::EventsIn, 1 + rng.draw() % 1_000)];
            for meter in Meter::ALL {
                if rng.below(3) == 0 {
                    used.push((meter, rng.draw() % (1 << 40)));
                }
            }
            let tenant = rng.pick(&tenants).context("a tenant")?;
            let time = whole.from().plus_us(minute * MINUTE_US)?;
            let fresh = record(tenant, &format!("step.{call}.{place}"), time, &used)?;
            batch.push(fresh.clone());
            records.push(fresh);
        }
        rng.shuffle(&mut batch);
        calls.push(lines(&batch)?);
    }
    for some in calls.chunks(7) {
        try_join_all(some.iter().map(|call| analytics.insert(call))).await?;
    }
    for tenant in &tenants {
        let near = Period::new(later.from().plus_us(-61 * MINUTE_US)?, later.from().plus_us(61 * MINUTE_US)?)?;
        check(&analytics, &records, tenant, near).await?;
        for window in [Window::Hour, Window::Day, Window::Month] {
            let told = usage(&analytics, tenant, whole, window).await?;
            ensure!(told == expected(&records, tenant, whole, window)?, "{tenant} by {}", window.name());
        }
    }
    Ok(())
}
