//! On which hosts a version runs. Code that is new runs on hosts of its own, which step behind the others, until it has
//! shown that it does no harm; code that did harm runs there again.

use std::time::Duration;

use er_tenant::consumers::By;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::OffsetDateTime;

use crate::record::Version;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    #[default]
    Probation,
    Proven,
}

/// What a consumer is seen to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    Held(By),
    /// Its owner resumed what strikes had paused.
    Resumed,
    /// It has taken no call yet, since it was last held or put in.
    Idle,
    /// It takes calls.
    Takes,
}

// === impl Standing ===

impl Standing {
    /// What a version begins with, where probation lasts so long.
    pub fn first(probation: Duration) -> Self {
        if probation.is_zero() {
            Self::Proven
        } else {
            Self::Probation
        }
    }

    /// The label `eventrunner.role` of the hosts that it runs on.
    pub fn role(self) -> &'static str {
        match self {
            Self::Probation => "probation",
            Self::Proven => "tenant",
        }
    }
}

// === impl Version ===

impl Version {
    /// What its conduct makes of its standing. Whether anything changed.
    pub fn judge(&mut self, conduct: Conduct, now: OffsetDateTime, probation: Duration) -> bool {
        let before = (self.standing, self.takes_since.clone());
        match (conduct, self.standing) {
            _ if probation.is_zero() => (self.standing, self.takes_since) = (Standing::Proven, None),
            (Conduct::Held(By::Strikes) | Conduct::Resumed, _) => (self.standing, self.takes_since) = (Standing::Probation, None),
            // Time in which it could do no harm proves nothing.
            (Conduct::Held(By::Owner | By::Update), Standing::Probation) => self.takes_since = None,
            (Conduct::Takes, Standing::Probation) => match self.took_for(now) {
                Some(took) if took >= probation => (self.standing, self.takes_since) = (Standing::Proven, None),
                Some(_) => {}
                None => self.takes_since = now.format(&Rfc3339).ok(),
            },
            (Conduct::Idle, _) | (_, Standing::Proven) => {}
        }
        before != (self.standing, self.takes_since.clone())
    }

    /// How long it has taken calls, as far as that is known.
    fn took_for(&self, now: OffsetDateTime) -> Option<Duration> {
        let since = OffsetDateTime::parse(self.takes_since.as_deref()?, &Rfc3339).ok()?;
        // A clock that was put back: as if it had begun now.
        Some((now - since).try_into().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spec;

    const PROBATION: Duration = Duration::from_secs(600);

    struct Case {
        version: Version,
        now: OffsetDateTime,
    }

    impl Case {
        fn new() -> Self {
            let version = Version {
                version: 1,
                digest: None,
                at: String::new(),
                by: String::new(),
                spec: Spec::default(),
                tried: true,
                note: None,
                standing: Standing::first(PROBATION),
                takes_since: None,
            };
            Self { version, now: OffsetDateTime::UNIX_EPOCH }
        }

        /// What it is after so many more seconds.
        fn after(&mut self, seconds: u64, conduct: Conduct) -> Standing {
            self.now += Duration::from_secs(seconds);
            let before = self.version.clone();
            let changed = self.version.judge(conduct, self.now, PROBATION);
            assert_eq!(changed, before != self.version);
            self.version.standing
        }
    }

    #[test]
    fn whoever_takes_calls_for_long_enough_is_proven() {
        let mut case = Case::new();
        assert_eq!(case.after(1_000, Conduct::Idle), Standing::Probation);
        assert_eq!(case.after(1_000, Conduct::Takes), Standing::Probation, "it has only begun");
        assert_eq!(case.after(599, Conduct::Takes), Standing::Probation);
        assert_eq!(case.after(1, Conduct::Takes), Standing::Proven);
        for conduct in [Conduct::Idle, Conduct::Held(By::Owner), Conduct::Held(By::Update), Conduct::Takes] {
            assert_eq!(case.after(1, conduct), Standing::Proven, "{conduct:?}");
        }
    }

    #[test]
    fn time_in_which_it_is_held_does_not_count() {
        let mut case = Case::new();
        for by in [By::Owner, By::Update, By::Strikes] {
            case.after(0, Conduct::Takes);
            assert_eq!(case.after(599, Conduct::Held(by)), Standing::Probation);
            assert_eq!(case.after(1, Conduct::Takes), Standing::Probation, "{by:?}");
        }
        assert_eq!(case.after(600, Conduct::Takes), Standing::Proven);
    }

    #[test]
    fn whoever_was_paused_by_strikes_begins_anew() {
        let mut case = Case::new();
        for conduct in [Conduct::Held(By::Strikes), Conduct::Resumed] {
            assert_eq!(case.after(1, Conduct::Takes), Standing::Probation);
            assert_eq!(case.after(600, Conduct::Takes), Standing::Proven);
            assert_eq!(case.after(1, conduct), Standing::Probation);
        }
    }

    #[test]
    fn a_clock_that_is_put_back_or_a_time_that_is_none_proves_nothing() {
        let mut case = Case::new();
        case.after(1_000, Conduct::Takes);
        case.now = OffsetDateTime::UNIX_EPOCH;
        assert_eq!(case.after(10, Conduct::Takes), Standing::Probation);
        case.version.takes_since = Some("yesterday".into());
        assert_eq!(case.after(1, Conduct::Takes), Standing::Probation);
        assert_eq!(case.after(600, Conduct::Takes), Standing::Proven);
    }

    #[test]
    fn without_probation_all_are_proven() {
        assert_eq!(Standing::first(Duration::ZERO), Standing::Proven);
        let mut case = Case::new();
        assert!(case.version.judge(Conduct::Held(By::Strikes), case.now, Duration::ZERO));
        assert_eq!(case.version.standing, Standing::Proven);
    }
}
