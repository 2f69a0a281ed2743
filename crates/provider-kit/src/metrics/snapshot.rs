//! Gauges that are told all at once, and all of them anew each time: what is not set again is gone.
//!
//! A recorder keeps for good what was ever set. For labels that come and go, as tenants do, that would be a leak.

use metrics::with_local_recorder;
use metrics_exporter_prometheus::PrometheusBuilder;
use parking_lot::Mutex;

static TOLD: Mutex<String> = Mutex::new(String::new());

/// Whatever gauges `set` sets, in place of those that the call before set.
pub fn replace(set: impl FnOnce()) {
    let recorder = PrometheusBuilder::new().build_recorder();
    with_local_recorder(&recorder, || {
        super::documented::describe();
        set();
    });
    *TOLD.lock() = recorder.handle().render();
}

pub(super) fn told() -> String {
    TOLD.lock().clone()
}

#[cfg(test)]
mod tests {
    use metrics::gauge;

    use super::*;

    #[test]
    fn what_is_not_set_again_is_gone() {
        let name = "eventrunner_tenant_pending_messages";
        replace(|| {
            gauge!(name, "stream" => "ER_RAW", "tenant" => "acme").set(3.0);
            gauge!(name, "stream" => "ER_RAW", "tenant" => "blue").set(1.0);
        });
        assert!(told().contains(r#"{stream="ER_RAW",tenant="acme"} 3"#), "{}", told());
        assert!(told().contains("# HELP eventrunner_tenant_pending_messages"), "{}", told());
        replace(|| gauge!(name, "stream" => "ER_RAW", "tenant" => "blue").set(2.0));
        assert!(told().contains("blue") && !told().contains("acme"), "{}", told());
        replace(|| ());
        assert_eq!(told().lines().filter(|line| !line.starts_with('#')).count(), 0, "{}", told());
    }
}
