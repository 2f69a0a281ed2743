//! Why a change of the policies was refused.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Policy(#[from] er_policy::Error),
    #[error("there is no {what} of revision {revision}; `versions` names those there are")]
    Unknown { what: &'static str, revision: String },
    #[error("the {what} has {bytes} bytes, and at most {max} are kept")]
    TooLarge { what: &'static str, bytes: usize, max: usize },
    #[error("{0}")]
    Invalid(String),
    #[error("somebody else activated another version meanwhile; look at `versions`, then activate again")]
    Conflict,
    /// JetStream is away: the same may succeed later.
    #[error("the platform's JetStream can't be reached: {0:#}")]
    Away(anyhow::Error),
}
