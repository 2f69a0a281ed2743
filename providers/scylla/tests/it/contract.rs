//! The store holds to the contract of all event stores.

use crate::common::{self, Tried};

async fn open() -> Tried {
    Tried(common::open(common::options()).await)
}

er_testkit::store_contract!(open);
