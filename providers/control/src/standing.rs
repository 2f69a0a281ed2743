//! On which hosts a version runs. Code that is new runs on hosts of its own, which step behind the others, until it has
//! shown that it does no harm; code that did harm runs there again.

use std::collections::BTreeMap;
use std::time::Duration;

use er_tenant::consumers::By;
use serde::{Deserialize, Serialize};

use crate::record::{Record, Version};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    Probation,
    Proven,
}

/// What a consumer is seen to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    Held(By),
    /// Its owner resumed what strikes had paused.
    Resumed,
    /// It takes calls, since so long; none if it has not taken one since it was last held or put in.
    Takes(Option<Duration>),
}

// === impl Standing ===

impl Standing {
    pub(crate) fn before_there_were_two() -> Self {
        Self::Proven
    }

    /// The label `eventrunner.role` of the hosts that it runs on.
    pub fn role(self) -> &'static str {
        match self {
            Self::Probation => "probation",
            Self::Proven => "tenant",
        }
    }

    /// What conduct makes of it, where probation lasts so long. (Where there is none, all are proven.)
    fn after(self, conduct: Conduct, probation: Duration) -> Self {
        match conduct {
            Conduct::Held(By::Strikes) | Conduct::Resumed => Self::Probation,
            Conduct::Takes(Some(long)) if long >= probation => Self::Proven,
            Conduct::Takes(_) | Conduct::Held(By::Owner | By::Update) => self,
        }
    }
}

// === impl Version ===

impl Version {
    /// The same code with the same environment: it does the same.
    fn is_like(&self, digest: Option<&str>, env: &BTreeMap<String, String>) -> bool {
        digest.is_some() && self.digest.as_deref() == digest && self.spec.env == *env
    }
}

// === impl Record ===

impl Record {
    /// What the running version's conduct makes of its standing, and of that of all that are like it. Whether anything
    /// changed.
    pub fn judge(&mut self, conduct: Conduct, probation: Duration) -> bool {
        let running = self.deployed.and_then(|version| self.of(version)).cloned();
        let mut changed = false;
        for version in &mut self.versions {
            let standing = match &running {
                _ if probation.is_zero() => Standing::Proven,
                Some(running)
                    if running.version == version.version
                        || version.is_like(running.digest.as_deref(), &running.spec.env) =>
                {
                    running.standing.after(conduct, probation)
                }
                _ => continue,
            };
            changed |= std::mem::replace(&mut version.standing, standing) != standing;
        }
        changed
    }

    /// What a version of this code, with this environment, begins with.
    pub fn standing_of(&self, digest: Option<&str>, env: &BTreeMap<String, String>, probation: Duration) -> Standing {
        if probation.is_zero() {
            return Standing::Proven;
        }
        let alike = self.versions.iter().rfind(|kept| kept.is_like(digest, env));
        alike.map_or(Standing::Probation, |kept| kept.standing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spec;

    const PROBATION: Duration = Duration::from_secs(600);
    const ENOUGH: Conduct = Conduct::Takes(Some(PROBATION));

    fn version(digest: &str, spec: &str) -> Version {
        Version {
            version: 0,
            digest: Some(digest.into()),
            at: String::new(),
            by: String::new(),
            spec: Spec::parse(spec).unwrap(),
            tried: true,
            trials_begun: 0,
            note: None,
            standing: Standing::Probation,
        }
    }

    /// Puts a version in as the desk does, and lets it run.
    fn put(record: &mut Record, digest: &str, spec: &str) -> Standing {
        let mut version = version(digest, spec);
        version.standing = record.standing_of(Some(digest), &version.spec.env, PROBATION);
        let standing = version.standing;
        record.push(version);
        record.deployed = Some(record.version);
        standing
    }

    fn running(record: &Record) -> Standing {
        record.of(record.deployed.unwrap()).unwrap().standing
    }

    #[test]
    fn whoever_takes_calls_for_long_enough_is_proven_and_stays_so() {
        let mut record = Record::new("acme", "alert");
        assert_eq!(put(&mut record, "a", "{}"), Standing::Probation);
        let short = Conduct::Takes(Some(PROBATION - Duration::from_secs(1)));
        for conduct in [Conduct::Takes(None), short, Conduct::Held(By::Owner), Conduct::Held(By::Update)] {
            assert!(!record.judge(conduct, PROBATION), "{conduct:?}");
        }
        assert!(record.judge(ENOUGH, PROBATION));
        for conduct in [Conduct::Takes(None), short, ENOUGH, Conduct::Held(By::Owner), Conduct::Held(By::Update)] {
            assert!(!record.judge(conduct, PROBATION), "{conduct:?}");
        }
        assert_eq!(running(&record), Standing::Proven);
    }

    #[test]
    fn whoever_was_paused_by_strikes_is_on_probation_again() {
        let mut record = Record::new("acme", "alert");
        put(&mut record, "a", "{}");
        for conduct in [Conduct::Held(By::Strikes), Conduct::Resumed] {
            assert!(record.judge(ENOUGH, PROBATION));
            assert!(record.judge(conduct, PROBATION));
            assert_eq!(running(&record), Standing::Probation);
        }
    }

    #[test]
    fn the_same_code_with_the_same_environment_has_the_same_standing_whatever_its_number() {
        let mut record = Record::new("acme", "alert");
        put(&mut record, "a", "{}");
        record.judge(ENOUGH, PROBATION);
        assert_eq!(put(&mut record, "a", r#"{"attempts_max":3}"#), Standing::Proven);
        assert_eq!(put(&mut record, "a", r#"{"env":{"LEVEL":"high"}}"#), Standing::Probation);
        assert_eq!(put(&mut record, "b", "{}"), Standing::Probation);
        record.judge(ENOUGH, PROBATION);
        assert_eq!(put(&mut record, "a", "{}"), Standing::Proven, "rolled back");
        assert!(record.judge(Conduct::Held(By::Strikes), PROBATION));
        let standings: Vec<Standing> = record.versions.iter().map(|version| version.standing).collect();
        let (probation, proven) = (Standing::Probation, Standing::Proven);
        assert_eq!(standings, [probation, probation, probation, proven, probation]);
    }

    #[test]
    fn an_image_that_was_not_pulled_yet_is_like_no_other() {
        let mut record = Record::new("acme", "alert");
        put(&mut record, "a", "{}");
        record.judge(ENOUGH, PROBATION);
        assert_eq!(record.standing_of(None, &BTreeMap::new(), PROBATION), Standing::Probation);
    }

    #[test]
    fn without_probation_all_are_proven_also_what_never_ran() {
        let mut record = Record::new("acme", "alert");
        assert_eq!(record.standing_of(Some("a"), &BTreeMap::new(), Duration::ZERO), Standing::Proven);
        put(&mut record, "a", "{}");
        record.deployed = None;
        assert!(record.judge(Conduct::Held(By::Strikes), Duration::ZERO));
        assert_eq!(record.of(1).unwrap().standing, Standing::Proven);
    }

    #[test]
    fn what_was_put_in_before_there_was_probation_stays_where_it_is() {
        let old = r#"{"version":1,"at":"","by":"","spec":{}}"#;
        assert_eq!(serde_json::from_str::<Version>(old).unwrap().standing, Standing::Proven);
    }
}
