//! The record of a consumer: what its owner wants, and how far that is.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::spec::Spec;
use crate::standing::Standing;
use crate::Error;

/// Versions that are kept to roll back to.
const VERSIONS_MAX: usize = 10;
/// Trials of a version that may have begun and not ended, since the process ended before them.
const TRIALS_CUT_OFF_MAX: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Checking,
    Refused,
    Deploying,
    Running,
    Failed,
    Deleting,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub version: u32,
    /// SHA-256 of the component; none until it was pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    pub at: String,
    pub by: String,
    pub spec: Spec,
    /// Whether it passed its trial.
    #[serde(default)]
    pub tried: bool,
    /// Trials that began since one came to an end. Its owner is not shown it.
    #[serde(default)]
    pub trials_begun: u32,
    /// What its trial was left with, if that is worth a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where it may run. What was put in before there was a choice stays where it is.
    #[serde(default = "Standing::before_there_were_two")]
    pub standing: Standing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub tenant: String,
    pub name: String,
    pub state: State,
    pub message: String,
    /// The newest one's number.
    pub version: u32,
    /// The newest one's.
    pub spec: Spec,
    /// The version that runs, or is to run while a newer one is refused.
    #[serde(default)]
    pub deployed: Option<u32>,
    /// Oldest first.
    pub versions: Vec<Version>,
}

// === impl Version ===

impl Version {
    /// # Errors
    /// [`Error::Invalid`] when the process came down with one trial after the other.
    pub fn check_trials(&self) -> Result<(), Error> {
        if self.trials_begun < TRIALS_CUT_OFF_MAX {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "its trial ended the platform's checker {} times: it seems to take too much memory to compile; make it \
             smaller, and upload it again",
            self.trials_begun
        )))
    }
}

// === impl Record ===

impl Record {
    pub fn new(tenant: &str, name: &str) -> Self {
        Self {
            tenant: tenant.into(),
            name: name.into(),
            state: State::Checking,
            message: String::new(),
            version: 0,
            spec: Spec::default(),
            deployed: None,
            versions: Vec::new(),
        }
    }

    /// Makes a version the one that counts. Its number is given here.
    pub fn push(&mut self, mut version: Version) {
        self.version += 1;
        version.version = self.version;
        self.spec = version.spec.clone();
        self.state = State::Checking;
        self.message = format!("version {} is being checked", self.version);
        self.versions.push(version);
        while self.versions.len() > VERSIONS_MAX {
            // What runs is never forgotten: it is what a failed update goes back to.
            let oldest = self.versions.iter().position(|version| Some(version.version) != self.deployed);
            self.versions.remove(oldest.unwrap_or_default());
        }
    }

    pub fn of(&self, version: u32) -> Option<&Version> {
        self.versions.iter().find(|kept| kept.version == version)
    }

    pub fn of_mut(&mut self, version: u32) -> Option<&mut Version> {
        self.versions.iter_mut().find(|kept| kept.version == version)
    }

    /// The newest version that has a component.
    pub fn latest(&self) -> Option<&Version> {
        self.versions.iter().rev().find(|version| version.digest.is_some())
    }

    pub fn trial_begins(&mut self, version: u32) {
        if let Some(version) = self.of_mut(version) {
            version.trials_begun = version.trials_begun.saturating_add(1);
        }
    }

    /// It came to an end, whatever it said of the version.
    pub fn trial_ended(&mut self, version: u32) {
        if let Some(version) = self.of_mut(version) {
            version.trials_begun = 0;
        }
    }

    /// As its owner is shown it.
    ///
    /// # Errors
    /// None that is known of: a record can be written as JSON.
    pub fn shown(&self) -> Result<Value, Error> {
        let mut shown = serde_json::to_value(self).map_err(|e| Error::Internal(e.to_string()))?;
        let versions = shown.get_mut("versions").and_then(Value::as_array_mut);
        for version in versions.into_iter().flatten().filter_map(Value::as_object_mut) {
            version.remove("trials_begun");
        }
        Ok(shown)
    }

    /// What came of a version. A newer one, or the order to delete, goes its own way.
    pub fn settle(&mut self, version: u32, state: State, message: String) {
        if self.version == version && self.state != State::Deleting {
            self.state = state;
            self.message = message;
        }
    }

    /// Whether there is something to be done.
    pub fn is_settled(&self) -> bool {
        !matches!(self.state, State::Checking | State::Deploying | State::Deleting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(digest: &str) -> Version {
        Version {
            version: 0,
            digest: Some(digest.into()),
            at: "2026-01-01T00:00:00Z".into(),
            by: "key".into(),
            spec: Spec::default(),
            tried: false,
            trials_begun: 0,
            note: None,
            standing: Standing::Probation,
        }
    }

    #[test]
    fn the_last_versions_are_kept_and_always_the_one_that_runs() {
        let mut record = Record::new("acme", "alert");
        record.push(version("0"));
        record.deployed = Some(1);
        for n in 1..15 {
            record.push(version(&n.to_string()));
        }
        assert_eq!((record.version, record.versions.len()), (15, VERSIONS_MAX));
        assert!(record.of(1).is_some() && record.of(2).is_none() && record.of(15).is_some());
        assert_eq!(record.latest().unwrap().version, 15);
    }

    #[test]
    fn what_came_of_an_older_version_changes_no_newer_one() {
        let mut record = Record::new("acme", "alert");
        record.push(version("0"));
        record.push(version("1"));
        record.settle(1, State::Failed, "old".into());
        assert_eq!(record.state, State::Checking);
        record.settle(2, State::Running, "new".into());
        assert!(record.is_settled());
        record.state = State::Deleting;
        record.settle(2, State::Running, "late".into());
        assert_eq!(record.state, State::Deleting);
    }

    #[test]
    fn a_version_that_ended_its_checker_twice_is_not_tried_again() {
        let mut record = Record::new("acme", "alert");
        record.push(version("0"));
        for _ in 0..TRIALS_CUT_OFF_MAX {
            record.of(1).unwrap().check_trials().unwrap();
            record.trial_begins(1);
        }
        let said = record.of(1).unwrap().check_trials().unwrap_err().to_string();
        assert!(said.contains("4 times") && said.contains("make it smaller"), "{said}");
        // What was put in since has its own count, and so has what comes to an end.
        record.push(version("0"));
        record.of(2).unwrap().check_trials().unwrap();
        record.trial_ended(1);
        record.of(1).unwrap().check_trials().unwrap();
    }

    #[test]
    fn how_often_a_trial_began_is_kept_and_not_shown() {
        let mut record = Record::new("acme", "alert");
        record.push(version("0"));
        record.trial_begins(1);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap().of(1).unwrap().trials_begun, 1);
        assert!(!record.shown().unwrap().to_string().contains("trials_begun"));
        let before = text.replace(r#""trials_begun":1,"#, "");
        assert_ne!(before, text);
        assert_eq!(serde_json::from_str::<Record>(&before).unwrap().of(1).unwrap().trials_begun, 0);
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        let mut record = Record::new("acme", "alert");
        record.push(version("0"));
        let text = serde_json::to_string(&record).unwrap();
        assert!(text.contains(r#""state":"checking""#), "{text}");
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
