//! What a consumer asks for: types and sources.

use er_testkit::{Component, Oracle};

use crate::support::{now, only, send, shared};

#[test]
fn a_consumer_gets_the_types_and_sources_that_it_wants_and_no_others() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("wanted").await?;
        let wanted = [("types", "order.*,alert"), ("sources", "/shop/*,/web")];
        let consumer = platform.consumer(&tenant, Component::Recorder, &wanted).await?;
        let (oracle, since) = (Oracle::new(tenant.clone()), now());
        for (source, id, kind) in [
            ("/shop/1", "typed", "order.placed"),
            ("/web/x", "no-source", "order.placed"),
            ("/web", "no-type", "alerts"),
            ("/shop", "no-beginning", "alert"),
            ("/web", "exact", "alert"),
        ] {
            send(&tenant, source, id, kind, "1").await?;
        }
        let these = [("/shop/1", "typed"), ("/web", "exact")];
        let not_those = [("/web/x", "no-source"), ("/web", "no-type"), ("/shop", "no-beginning")];
        only(&oracle, &consumer, &since, &these, &not_those).await?;
        platform.retire(&consumer).await
    })
}
