//! What the API needs of the world around it: the linked interfaces, the clock, chance.

pub use crate::bindings::eventrunner::platform::accounts::{Document, Format};
pub use crate::bindings::eventrunner::platform::event_store::{Filter, Page as EventPage};
pub use crate::bindings::eventrunner::platform::kv::Item;
pub use crate::bindings::eventrunner::platform::policy::Decision;
pub use crate::bindings::eventrunner::platform::redelivery::{Letters, Window};
pub use crate::bindings::eventrunner::platform::tail::Page as TailPage;
pub use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};

/// Named and shaped as the interfaces in `wit/`.
pub trait Backend {
    fn kv_get(&self, bucket: &str, key: &str) -> Result<Option<Item>, Fault>;
    fn kv_create(&self, bucket: &str, key: &str, value: &str) -> Result<u64, Fault>;
    fn kv_put(&self, bucket: &str, key: &str, value: &str, revision: Option<u64>) -> Result<u64, Fault>;
    fn kv_delete(&self, bucket: &str, key: &str) -> Result<(), Fault>;
    fn kv_scan(&self, bucket: &str, filter: &str, after: Option<&str>, limit: u32) -> Result<Vec<Item>, Fault>;

    fn event(&self, tenant: &str, source: &str, id: &str) -> Result<Option<String>, Fault>;
    fn events(&self, tenant: &str, filter: &Filter, cursor: Option<&str>, limit: u32) -> Result<EventPage, Fault>;

    fn tail(&self, tenant: &str, after: Option<u64>, types: &[String], wait_ms: u32) -> Result<TailPage, Fault>;
    fn dead_letters(&self, tenant: &str, after: u64, limit: u32) -> Result<String, Fault>;

    fn dead_letter(&self, tenant: &str, seq: u64) -> Result<Option<String>, Fault>;
    fn select_letters(&self, tenant: &str, letters: &Letters) -> Result<String, Fault>;
    fn redrive(&self, tenant: &str, seqs: &[u64]) -> Result<String, Fault>;
    fn discard(&self, tenant: &str, seqs: &[u64]) -> Result<String, Fault>;
    fn replay(&self, tenant: &str, window: &Window, by: &str) -> Result<String, Fault>;
    fn replays(&self, tenant: &str) -> Result<String, Fault>;

    fn decide(&self, question: &str) -> Result<Decision, Fault>;
    fn policy_state(&self) -> Result<String, Fault>;
    fn policy_versions(&self) -> Result<String, Fault>;
    fn publish_policy_bundle(&self, bundle: &str) -> Result<String, Fault>;
    fn publish_policy_data(&self, data: &str) -> Result<String, Fault>;
    fn activate_policy(&self, bundle: &str, data: Option<&str>, by: &str, over: Option<u64>) -> Result<String, Fault>;

    fn consumers(&self, tenant: &str) -> Result<String, Fault>;
    fn consumer(&self, tenant: &str, name: &str) -> Result<String, Fault>;
    fn begin_upload(&self, tenant: &str, bytes: u64) -> Result<String, Fault>;
    fn upload_piece(&self, tenant: &str, upload: &str, offset: u64, bytes: &[u8]) -> Result<(), Fault>;
    fn put_consumer(
        &self,
        tenant: &str,
        name: &str,
        upload: Option<&str>,
        spec: &str,
        by: &str,
    ) -> Result<String, Fault>;
    fn roll_back_consumer(&self, tenant: &str, name: &str, version: u32, by: &str) -> Result<String, Fault>;
    fn delete_consumer(&self, tenant: &str, name: &str, by: &str) -> Result<String, Fault>;
    fn consumer_logs(&self, tenant: &str, name: &str, limit: u32) -> Result<String, Fault>;

    fn usage(&self, tenant: &str, asked: &UsageAsked, format: Format) -> Result<Document, Fault>;
    fn invoices(&self, tenant: &str) -> Result<String, Fault>;
    fn invoice(&self, tenant: &str, id: Option<&str>, format: Format) -> Result<Document, Fault>;
    fn verify(&self, tenant: &str, id: &str) -> Result<String, Fault>;
    fn issue(&self, tenant: &str, id: &str) -> Result<String, Fault>;
    fn void(&self, tenant: &str, id: &str) -> Result<String, Fault>;
    fn subscription(&self, tenant: &str) -> Result<String, Fault>;
    fn subscribe(&self, tenant: &str, change: &str) -> Result<String, Fault>;
    fn plans(&self) -> Result<String, Fault>;
    fn plan(&self, name: &str) -> Result<String, Fault>;
    fn save_plan(&self, name: &str, plan: &str) -> Result<String, Fault>;

    /// A setting of the component in the manifest; none where it is not set or empty.
    fn setting(&self, name: &str) -> Option<String>;
    /// A line for whoever runs the platform.
    fn log(&self, line: &str);
    /// Microseconds since 1970 (UTC).
    fn now_us(&self) -> i64;
    /// Milliseconds.
    fn wait(&self, ms: u32);
    fn random(&self) -> [u8; 32];
}

/// What a report of usage is asked for.
#[derive(Debug)]
pub struct UsageAsked {
    pub window: String,
    pub since: Option<String>,
    pub until: Option<String>,
    pub meters: Vec<String>,
}
