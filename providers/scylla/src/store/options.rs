//! How to reach the cluster, and how to behave towards it.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::DefaultRetryPolicy;
use scylla::policies::timestamp_generator::MonotonicTimestampGenerator;
pub use scylla::statement::Consistency;

use super::error::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection whose other end stands still is found out in this time twice.
const KEEPALIVE: Duration = Duration::from_secs(2);

/// What the store is opened with; [`Options::default`] is right for one node on this machine.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// `host:port` of some of the cluster's nodes.
    pub nodes: Vec<String>,
    pub keyspace: String,
    /// CQL's map, for a keyspace that is not there yet.
    pub replication: String,
    pub consistency: Consistency,
    /// The data centre whose nodes are asked; none is any.
    pub datacenter: Option<String>,
    pub credentials: Option<Credentials>,
    /// How long events stay whose put does not say.
    pub retention_h: u32,
    /// Statements under way at once.
    pub statements: usize,
    /// How long one may take.
    pub statement_timeout: Duration,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: vec!["127.0.0.1:9042".into()],
            keyspace: "eventrunner".into(),
            replication: replicated(1),
            consistency: Consistency::LocalQuorum,
            datacenter: None,
            credentials: None,
            retention_h: 720,
            statements: 256,
            statement_timeout: Duration::from_secs(2),
        }
    }
}

impl Options {
    /// A session with whatever nodes answer.
    ///
    /// Times of writes are this process's, not the nodes': a statement that is late, since a node stood still or
    /// was away, then loses against whatever was written after it was sent, a claim included.
    pub(super) async fn connect(&self) -> Result<Session, Error> {
        let mut policy = DefaultPolicy::builder().token_aware(true);
        if let Some(datacenter) = &self.datacenter {
            policy = policy.prefer_datacenter(datacenter.clone());
        }
        let profile = ExecutionProfile::builder()
            .consistency(self.consistency)
            .request_timeout(Some(self.statement_timeout))
            .load_balancing_policy(policy.build())
            .retry_policy(Arc::new(DefaultRetryPolicy::new()))
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&self.nodes)
            .default_execution_profile_handle(profile.into_handle())
            .connection_timeout(CONNECT_TIMEOUT)
            .keepalive_interval(KEEPALIVE)
            .keepalive_timeout(KEEPALIVE)
            .keyspaces_to_fetch([&self.keyspace])
            .timestamp_generator(Arc::new(MonotonicTimestampGenerator::new()));
        if let Some(Credentials { username, password }) = &self.credentials {
            builder = builder.user(username, password);
        }
        Ok(builder.build().await?)
    }
}

/// Not derived: nobody's password belongs in a log.
impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("nodes", &self.nodes)
            .field("keyspace", &self.keyspace)
            .field("replication", &self.replication)
            .field("consistency", &self.consistency)
            .field("datacenter", &self.datacenter)
            .field("username", &self.credentials.as_ref().map(|credentials| &credentials.username))
            .field("retention_h", &self.retention_h)
            .field("statements", &self.statements)
            .field("statement_timeout", &self.statement_timeout)
            .finish()
    }
}

/// So many copies in each data centre that there is.
pub fn replicated(factor: u8) -> String {
    format!("{{'class': 'NetworkTopologyStrategy', 'replication_factor': {factor}}}")
}
