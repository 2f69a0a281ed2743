//! Exemplars: of each bucket of a histogram in seconds the last value that came about within a sampled trace, and
//! which trace that was. The exporter has none, so that they are noted beside it and written into what it says.
//!
//! Only OpenMetrics has room for them: <https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars>.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;

use super::serve::SECONDS;

const COUNTER: &str = "_total";
const BOUND: &str = "le=\"";

/// Tells which trace is under way, if one is.
pub type Here = fn() -> Option<String>;

/// Exemplars by histogram. A clone is a handle to the same ones.
#[derive(Debug, Clone, Default)]
pub struct Exemplars(Arc<Mutex<HashMap<Key, Arc<Buckets>>>>);

/// One for each bound, and one for what is more than all of them.
#[derive(Debug, Default)]
struct Buckets(Mutex<[Option<Exemplar>; SECONDS.len() + 1]>);

#[derive(Debug, Clone, PartialEq)]
struct Exemplar {
    trace: String,
    seconds: f64,
    /// Since 1970.
    at: Duration,
}

/// Another recorder, and exemplars of what it records.
#[derive(Debug)]
pub struct Noting<R> {
    pub recorder: R,
    pub exemplars: Exemplars,
    pub here: Here,
}

struct NotingHistogram {
    histogram: Histogram,
    buckets: Arc<Buckets>,
    here: Here,
}

// === impl Exemplars ===

impl Exemplars {
    /// What the exporter said, as OpenMetrics has it, with exemplars.
    pub fn open_metrics(&self, text: &str) -> String {
        let counters: HashSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
        // Who records does not wait for who is told.
        let known = self.0.lock().clone();
        let known = known.into_iter().map(|(key, buckets)| (series(&key), buckets)).collect();
        let mut told = String::with_capacity(text.len() * 2);
        for line in text.lines().filter(|line| !line.is_empty()) {
            told.push_str(&family(line, &counters));
            if let Some(exemplar) = exemplar(line, &known) {
                let Exemplar { trace, seconds, at } = exemplar;
                // Writing to a String can't fail.
                let _ = write!(told, " # {{trace_id=\"{trace}\"}} {seconds} {:.3}", at.as_secs_f64());
            }
            told.push('\n');
        }
        told.push_str("# EOF\n");
        told
    }

    fn of(&self, key: &Key) -> Arc<Buckets> {
        Arc::clone(self.0.lock().entry(key.clone()).or_default())
    }
}

/// What stands before the bound in the lines of a histogram's buckets.
fn series(key: &Key) -> String {
    let start = format!("{}_bucket{{", key.name());
    key.labels().fold(start, |series, label| format!("{series}{}=\"{}\",", label.key(), label.value()))
}

/// A counter's family is called without the suffix that its samples have.
fn family<'l>(line: &'l str, counters: &HashSet<&str>) -> Cow<'l, str> {
    let told = || {
        let (what, rest) = line.strip_prefix("# ")?.split_once(' ')?;
        let (name, rest) = rest.split_once(' ')?;
        let family = counters.get(name)?.strip_suffix(COUNTER)?;
        Some(format!("# {what} {family} {rest}"))
    };
    told().map_or(Cow::Borrowed(line), Cow::Owned)
}

fn exemplar(line: &str, known: &HashMap<String, Arc<Buckets>>) -> Option<Exemplar> {
    let (series, rest) = line.split_at_checked(line.rfind(BOUND)?)?;
    let bound = rest.strip_prefix(BOUND)?.split('"').next()?;
    // Of the last bucket it is infinite.
    known.get(series)?.at(bound.parse().ok()?)
}

// === impl Buckets ===

impl Buckets {
    fn note(&self, trace: String, seconds: f64) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if let Some(place) = self.0.lock().get_mut(place(seconds)) {
            *place = Some(Exemplar { trace, seconds, at });
        }
    }

    fn at(&self, bound: f64) -> Option<Exemplar> {
        self.0.lock().get(place(bound))?.clone()
    }
}

/// Of the first bound that is not less.
fn place(seconds: f64) -> usize {
    SECONDS.partition_point(|bound| *bound < seconds)
}

// === impl Noting ===

impl<R: Recorder> Recorder for Noting<R> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.recorder.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.recorder.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.recorder.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.recorder.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.recorder.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        let histogram = self.recorder.register_histogram(key, metadata);
        if !key.name().ends_with("_seconds") {
            return histogram;
        }
        let buckets = self.exemplars.of(key);
        Histogram::from_arc(Arc::new(NotingHistogram { histogram, buckets, here: self.here }))
    }
}

impl HistogramFn for NotingHistogram {
    fn record(&self, seconds: f64) {
        self.histogram.record(seconds);
        if let Some(trace) = (self.here)() {
            self.buckets.note(trace, seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use metrics::{counter, gauge, histogram, with_local_recorder};
    use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

    use super::*;

    thread_local!(static TRACE: Cell<Option<&'static str>> = const { Cell::new(None) });

    /// What is told of what is recorded.
    fn told(record: impl FnOnce()) -> String {
        let builder = PrometheusBuilder::new();
        let buckets = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS).unwrap();
        let recorder = buckets.build_recorder();
        let handle = recorder.handle();
        let exemplars = Exemplars::default();
        let here = || TRACE.get().map(str::to_owned);
        let noting = Noting { recorder, exemplars: exemplars.clone(), here };
        with_local_recorder(&noting, record);
        exemplars.open_metrics(&handle.render())
    }

    /// The lines that begin so, without the time of an exemplar.
    fn lines<'t>(told: &'t str, start: &str) -> Vec<&'t str> {
        let timeless = |line: &'t str| match line.contains(" # ") {
            true => line.rsplit_once(' ').map_or(line, |(line, _)| line),
            false => line,
        };
        told.lines().filter(|line| line.starts_with(start)).map(timeless).collect()
    }

    #[test]
    fn a_bucket_names_the_last_trace_whose_value_is_in_it() {
        let told = told(|| {
            TRACE.set(Some("aa"));
            histogram!("eventrunner_stream_publish_seconds", "stream" => "ER_RAW").record(0.012);
            TRACE.set(Some("bb"));
            histogram!("eventrunner_stream_publish_seconds", "stream" => "ER_RAW").record(0.015);
            histogram!("eventrunner_stream_publish_seconds", "stream" => "ER_DEAD").record(0.000_1);
            TRACE.set(None);
            histogram!("eventrunner_stream_publish_seconds", "stream" => "ER_RAW").record(0.014);
            histogram!("eventrunner_stream_publish_seconds", "stream" => "ER_RAW").record(100.0);
        });
        let of = |bound: &str| {
            lines(&told, &format!("eventrunner_stream_publish_seconds_bucket{{stream=\"ER_RAW\",le=\"{bound}\"}}"))
        };
        assert_eq!(
            of("0.015"),
            [r#"eventrunner_stream_publish_seconds_bucket{stream="ER_RAW",le="0.015"} 3 # {trace_id="bb"} 0.015"#]
        );
        assert_eq!(
            of("0.02"),
            [r#"eventrunner_stream_publish_seconds_bucket{stream="ER_RAW",le="0.02"} 3"#],
            "its bucket begins above"
        );
        assert_eq!(
            of("+Inf"),
            [r#"eventrunner_stream_publish_seconds_bucket{stream="ER_RAW",le="+Inf"} 4"#],
            "nothing was traced"
        );
        let other = lines(&told, r#"eventrunner_stream_publish_seconds_bucket{stream="ER_DEAD",le="0.0005"}"#);
        assert_eq!(
            other,
            [r#"eventrunner_stream_publish_seconds_bucket{stream="ER_DEAD",le="0.0005"} 1 # {trace_id="bb"} 0.0001"#]
        );
    }

    #[test]
    fn what_is_told_is_open_metrics() {
        let told = told(|| {
            TRACE.set(Some("aa"));
            metrics::describe_counter!("eventrunner_ingest_events_total", "Events");
            let cpu = "process_cpu_seconds_total";
            metrics::describe_gauge!(cpu, "A gauge, whatever it is called");
            counter!("eventrunner_ingest_events_total").increment(2);
            gauge!(cpu).set(1.5);
            histogram!("eventrunner_delivery_batch_events").record(3.0);
        });
        assert_eq!(lines(&told, "# TYPE eventrunner_ingest_events"), ["# TYPE eventrunner_ingest_events counter"]);
        assert_eq!(lines(&told, "# HELP eventrunner_ingest_events"), ["# HELP eventrunner_ingest_events Events"]);
        assert_eq!(lines(&told, "eventrunner_ingest_events"), ["eventrunner_ingest_events_total 2"]);
        assert_eq!(lines(&told, "# TYPE process_cpu"), ["# TYPE process_cpu_seconds_total gauge"]);
        assert!(lines(&told, "eventrunner_delivery_batch_events").iter().all(|line| !line.contains('#')), "{told}");
        assert!(told.ends_with("\n# EOF\n") && !told.contains("\n\n"), "{told}");
    }
}
