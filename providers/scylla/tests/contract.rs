//! The store holds to the contract of all event stores.

mod common;

async fn open() -> common::Tried {
    common::Tried(common::open(common::options()).await)
}

er_testkit::store_contract!(open);
