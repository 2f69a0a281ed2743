//! A tenant's rules: refused where they are wrong, live when they are saved, and true to one version an event.

use anyhow::{ensure, Context as _};
use async_nats::jetstream::{self, kv};
use er_tenant::rules::{set_path, texts_path, RULES_BUCKET};
use er_testkit::{until, Component, Oracle, Tenant};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{json, Value};

use crate::support::{
    accepted, alone, engine_retries, event, live, now, only, post, put_rules, refused, save_rules, send, shared,
    stored, text, BATCH, LIVE_WITHIN, STORED_WITHIN,
};

async fn story(tenant: &Tenant, source: &str, id: &str) -> anyhow::Result<Value> {
    let path = format!("/api/v1/events/{}/{id}/story", er_testkit::tenant::encode(source));
    until(&format!("the story of {id}"), STORED_WITHIN, || async {
        let answer = tenant.client.get(&path).await?;
        Ok((answer.status == 200).then(|| answer.json()))
    })
    .await
}

#[test]
fn a_wrong_rule_comes_back_with_the_place_of_every_mistake() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("wrong").await?;
        let grl =
            "rule A {\n  when\n    Event.type == \n  then\n    Tag(\"x\");\n}\nrule B { when true then Tgg(\"y\"); }\n";
        let answer = put_rules(&tenant.client, "wrong", grl).await?;
        refused(&answer, 422, "unprocessable")?;
        let problem = answer.json();
        let errors = problem["errors"].as_array().context("no list of mistakes")?;
        ensure!(errors.len() >= 2, "every mistake: {problem}");
        ensure!(problem["at"]["line"].as_u64().is_some_and(|line| (3..=4).contains(&line)), "{problem}");
        let last = &errors[errors.len() - 1];
        ensure!(last["line"] == 7 && last["excerpt"].as_str().is_some_and(|text| text.contains("^^^")), "{last}");
        ensure!(last["message"].as_str().is_some_and(|said| said.contains("Tgg")), "{last}");
        let list = tenant.client.get("/api/v1/rules").await?.json();
        ensure!(list["version"] == 0, "something was saved: {list}");
        Ok(())
    })
}

#[test]
fn rules_tag_change_drop_route_emit_and_give_up_events() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("ruled").await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        let oracle = Oracle::new(tenant.clone());
        let since = now();
        let version = save_rules(
            &tenant,
            "all",
            r#"
            rule Noise { when Event.type == "noise" then Drop("nobody asked"); Retract("Noise"); }
            rule Late { when Event.type == "late" then DeadLetter("too late"); Retract("Late"); }
            rule Copy { when Event.type == "copy" then Emit("copied", Event.data); Retract("Copy"); }
            rule Double "writes" {
                when Event.type == "number" && Event.data.n < 50
                then Event.data.n = Event.data.n * 2; Tag("doubled"); Route("numbers");
            }
            "#,
        )
        .await?;
        live(&tenant, version).await?;
        let types = [("1", "noise", "1"), ("2", "late", "1"), ("3", "copy", "[1,2]"), ("4", "number", r#"{"n":20}"#)];
        let events: Vec<String> = types.iter().map(|(id, kind, data)| event("/s", id, kind, data)).collect();
        let answer = post(&tenant.client, BATCH, format!("[{}]", events.join(","))).await?;
        accepted(&answer, &["1", "2", "3", "4"])?;

        let dropped = story(&tenant, "/s", "1").await?;
        ensure!(dropped["end"] == "dropped" && dropped["dropped"] == "Noise: nobody asked", "{dropped}");
        ensure!(dropped["rules"] == json!({ "version": version, "fired": ["Noise"] }), "{dropped}");
        let late = story(&tenant, "/s", "2").await?;
        ensure!(late["end"] == "dead-letter" && late["stored"] == false, "{late}");
        ensure!(
            late["dead_letters"][0]["stage"] == "rules" && late["dead_letters"][0]["reason"] == "Late: too late",
            "{late}"
        );
        let number = stored(&tenant, "/s", "4").await?;
        ensure!(number.contains(r#""data":{"n":80}"#), "{number}");
        ensure!(text(&number, "ertags")? == "doubled" && text(&number, "erroute")? == "numbers", "{number}");
        ensure!(text(&number, "errules")? == format!("{version}:Double"), "{number}");
        let copied = tenant.events("type=copied").await?;
        ensure!(copied.len() == 1 && text(&copied[0], "ercause")? == "3", "{copied:?}");

        for id in ["3", "4"] {
            until("the consumer", STORED_WITHIN, || async {
                Ok(oracle.was_handled(&consumer.id, &since, "/s", id).await?.then_some(()))
            })
            .await?;
        }
        let made = text(&copied[0], "id")?;
        until("the consumer to get what was made", STORED_WITHIN, || async {
            Ok(oracle.was_handled(&consumer.id, &since, "/rules", &made).await?.then_some(()))
        })
        .await?;
        // All of the batch was delivered by now, and what was dropped was not.
        ensure!(!oracle.was_handled(&consumer.id, &since, "/s", "1").await?, "a dropped event was delivered");
        platform.retire(&consumer).await
    })
}

#[test]
fn a_consumer_of_a_route_gets_what_rules_send_there_and_nothing_else() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("routed").await?;
        let version =
            save_rules(&tenant, "r", r#"rule R { when Event.type == "in" then Route("here"); Retract("R"); }"#).await?;
        live(&tenant, version).await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[("routes", "there,here")]).await?;
        let (oracle, since) = (Oracle::new(tenant.clone()), now());
        for (id, kind) in [("1", "out"), ("2", "in"), ("3", "out"), ("4", "in")] {
            send(&tenant, "/s", id, kind, "1").await?;
        }
        only(&oracle, &consumer, &since, &[("/s", "2"), ("/s", "4")], &[("/s", "1"), ("/s", "3")]).await?;
        platform.retire(&consumer).await
    })
}

#[test]
fn rules_that_cannot_be_read_hold_events_until_they_are_mended() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("unread").await?;
        let grl = r#"rule R { when true then Tag("ran"); Retract("R"); }"#;
        let version = save_rules(&tenant, "r", grl).await?;
        live(&tenant, version).await?;
        let js = jetstream::new(platform.nats().await?);
        let bucket: kv::Store = js.get_key_value(RULES_BUCKET).await?;
        let mut kept = Vec::new();
        for key in [set_path(&tenant.id, version), texts_path(&tenant.id, version)] {
            kept.push((key.clone(), bucket.get(&key).await?.context("no rules")?));
            bucket.put(&key, "broken".into()).await?;
        }
        let before = engine_retries(&platform).await?;
        send(&tenant, "/s", "waits", "t", "1").await?;
        // More often than an event is tried that is at fault itself.
        until("it to be tried again and again", STORED_WITHIN * 2, || async {
            Ok((engine_retries(&platform).await? >= before + 10.0).then_some(()))
        })
        .await?;
        ensure!(tenant.dead_letters().await?.is_empty(), "{:?}", tenant.dead_letters().await?);
        for (key, value) in kept {
            bucket.put(&key, value).await?;
        }
        ensure!(text(&stored(&tenant, "/s", "waits").await?, "errules")? == format!("{version}:R"));
        ensure!(tenant.dead_letters().await?.is_empty(), "{:?}", tenant.dead_letters().await?);
        Ok(())
    })
}

#[test]
fn every_event_of_a_batch_sees_one_version_while_rules_change() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("versions").await?;
        // Two texts that must never be seen apart.
        let rules = |n: u64| {
            format!(
                r#"rule A{n} {{ when true then Tag("a{n}"); Retract("A{n}"); }}
                   rule B{n} {{ when true then Tag("b{n}"); Retract("B{n}"); }}"#
            )
        };
        let first = save_rules(&tenant, "pair", &rules(0)).await?;
        live(&tenant, first).await?;
        let mut sent = Vec::new();
        for round in 1..=10_u64 {
            let ids: Vec<String> = (0..50).map(|n| format!("{round}-{n}")).collect();
            let events: Vec<String> = ids.iter().map(|id| event("/v", id, "t", "1")).collect();
            let answer = post(&tenant.client, BATCH, format!("[{}]", events.join(","))).await?;
            accepted(&answer, &ids.iter().map(String::as_str).collect::<Vec<_>>())?;
            save_rules(&tenant, "pair", &rules(round)).await?;
            sent.push(ids);
        }
        for ids in sent {
            let mut versions = std::collections::BTreeSet::new();
            for id in ids {
                let stored = stored(&tenant, "/v", &id).await?;
                let tags = text(&stored, "ertags")?;
                let number = tags.strip_prefix('a').and_then(|rest| rest.split(',').next()).unwrap_or_default();
                ensure!(tags == format!("a{number},b{number}"), "a mixed version: {stored}");
                versions.insert(text(&stored, "errules")?);
            }
            ensure!(versions.len() == 1, "one batch went through {versions:?}");
        }
        Ok(())
    })
}

#[test]
fn what_was_saved_can_be_read_taken_back_and_deleted() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("history").await?;
        let one = r#"rule One { when true then Tag("one"); Retract("One"); }"#;
        let two = r#"rule Two { when true then Tag("two"); Retract("Two"); }"#;
        let first = save_rules(&tenant, "text", one).await?;
        let second = save_rules(&tenant, "text", two).await?;
        ensure!(second > first, "{first} {second}");
        ensure!(tenant.client.get("/api/v1/rules/text").await?.body == two, "not what was saved");
        let old = tenant.client.get(&format!("/api/v1/rules/text?version={first}")).await?;
        ensure!(old.body == one, "not what was saved first: {}", old.body);

        let body = json!({ "version": first });
        let back = tenant.client.call(Method::POST, "/api/v1/rules:rollback", Some(&body)).await?;
        ensure!(back.status == 200, "{} {}", back.status, back.body);
        let third = back.json()["version"].as_u64().context("no version")?;
        ensure!(tenant.client.get("/api/v1/rules/text").await?.body == one, "not rolled back");
        live(&tenant, third).await?;
        let versions = tenant.client.get("/api/v1/rules:versions").await?.json();
        let changes: Vec<_> =
            versions["versions"].as_array().into_iter().flatten().map(|version| version["change"].clone()).collect();
        ensure!(changes == [format!("roll back to {first}"), "put text".into(), "put text".into()], "{versions}");
        ensure!(versions["versions"][0]["by"].as_str().is_some_and(|by| by.starts_with(&tenant.id)), "{versions}");

        let gone = tenant.client.call(Method::DELETE, "/api/v1/rules/text", None).await?;
        ensure!(gone.status == 200, "{} {}", gone.status, gone.body);
        ensure!(tenant.client.get("/api/v1/rules/text").await?.status == 404, "still there");
        until("events to pass without rules", LIVE_WITHIN, || async {
            let id = crate::support::now_us().to_string();
            send(&tenant, "/live", &id, "t", "1").await?;
            Ok(text(&stored(&tenant, "/live", &id).await?, "errules").is_err().then_some(()))
        })
        .await
    })
}

#[test]
fn rules_are_tried_without_being_saved() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("trial").await?;
        let viewer = tenant.key("viewer").await?;
        let rules = r#"rule Big { when Event.data.total > 100 then Tag("big"); Retract("Big"); }"#;
        let sample = |total: u32| {
            let event = event("/s", &total.to_string(), "order", &json!({ "total": total }).to_string());
            serde_json::from_str::<Value>(&event).unwrap_or_default()
        };
        let body = json!({ "rules": rules, "events": [sample(7), sample(700)] });
        let tried = viewer.client.call(Method::POST, "/api/v1/rules:test", Some(&body)).await?;
        ensure!(tried.status == 200, "{} {}", tried.status, tried.body);
        let tried = tried.json();
        let (small, big) = (&tried["events"][0], &tried["events"][1]);
        ensure!(big["fired"] == json!(["Big"]) && big["event"]["ertags"] == "big", "{big}");
        ensure!(small["fired"] == json!([]) && small["outcome"] == "pass", "{small}");
        let why = &small["explanation"][0]["first_false"];
        ensure!(why["values"].to_string().contains("\"7\""), "why it did not fire: {small}");

        // Against what is stored, with the rules that are saved.
        send(&tenant, "/s", "stored", "order", r#"{"total":500}"#).await?;
        stored(&tenant, "/s", "stored").await?;
        save_rules(&tenant, "big", rules).await?;
        let tried = viewer.client.call(Method::POST, "/api/v1/rules:test", Some(&json!({ "last": 1 }))).await?.json();
        ensure!(tried["events"][0]["fired"] == json!(["Big"]), "{tried}");
        ensure!(text(&stored(&tenant, "/s", "stored").await?, "ertags").is_err(), "trying changed what is stored");

        refused(&put_rules(&viewer.client, "big", rules).await?, 403, "forbidden")
    })
}

#[test]
fn rules_without_end_give_their_events_up_and_hold_no_neighbour_up() -> anyhow::Result<()> {
    shared(|platform| async move {
        let (tenant, neighbour) = (platform.tenant("endless").await?, platform.tenant("nextdoor").await?);
        let version = save_rules(
            &tenant,
            "endless",
            r#"
            rule Circle { when Event.type == "circle" then Event.data.n = Event.data.n + 1; }
            rule Growth { when Event.type == "growth" then Event.data.s = Event.data.s + Event.data.s; }
            "#,
        )
        .await?;
        live(&tenant, version).await?;
        let ids: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let events: Vec<String> = ids
            .iter()
            .enumerate()
            .map(|(n, id)| event("/s", id, ["circle", "growth", "fine"][n % 3], r#"{"n":0,"s":"grows"}"#))
            .collect();
        let answer = post(&tenant.client, BATCH, format!("[{}]", events.join(","))).await?;
        accepted(&answer, &ids.iter().map(String::as_str).collect::<Vec<_>>())?;
        send(&neighbour, "/s", "meanwhile", "t", "1").await?;
        stored(&neighbour, "/s", "meanwhile").await?;
        for (n, id) in ids.iter().enumerate() {
            if n % 3 == 2 {
                stored(&tenant, "/s", id).await?;
            }
        }
        let dead = until("the dead letters", STORED_WITHIN, || async {
            let dead = tenant.dead_letters().await?;
            Ok((dead.len() >= 67).then_some(dead))
        })
        .await?;
        ensure!(dead.len() == 67, "{} dead letters", dead.len());
        for letter in dead {
            let kind = letter["event"]["type"].as_str().unwrap_or_default();
            let rule = if kind == "circle" { "rule Circle" } else { "rule Growth" };
            ensure!(letter["reason"].as_str().is_some_and(|reason| reason.starts_with(rule)), "{letter}");
        }
        Ok(())
    })
}

#[test]
fn whose_rules_take_too_long_holds_nobody_up_and_goes_on_once_they_are_mended() -> anyhow::Result<()> {
    alone(|platform| async move {
        let neighbour = platform.tenant("quick").await?;
        let endless = "rule Circle { when Event.data.n >= 0 then Event.data.n = Event.data.n + 1; }";
        let mut laborious = Vec::new();
        for n in 0..3 {
            let tenant = platform.tenant(&format!("laborious{n}")).await?;
            live(&tenant, save_rules(&tenant, "rule", endless).await?).await?;
            laborious.push(tenant);
        }
        // Each alone ends at its limit; so many at once take longer than the engine may, in every shard.
        let sources: Vec<String> = (0..16).map(|n| format!("/{n}")).collect();
        let ids: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        for source in &sources {
            let events: Vec<String> = ids.iter().map(|id| event(source, id, "t", r#"{"n":0}"#)).collect();
            let body = format!("[{}]", events.join(","));
            for tenant in &laborious {
                accepted(&post(&tenant.client, BATCH, body.clone()).await?, &ids)?;
            }
        }
        // Were each of these held up until a try is given up, the tenant's would be tried one by one by then, and be
        // dead letters. Some are after 155 s in any case, so that there is no time for many rounds.
        for round in 0..3 {
            let id = round.to_string();
            try_join_all(sources.iter().map(|source| send(&neighbour, source, &id, "t", "1"))).await?;
            try_join_all(sources.iter().map(|source| stored(&neighbour, source, &id))).await?;
        }
        for tenant in &laborious {
            let dead = tenant.client.get("/api/v1/dead-letters?limit=1").await?.json();
            ensure!(dead["items"] == json!([]), "a neighbour's events waited for those: {dead}");
            save_rules(tenant, "rule", r#"rule Fine { when true then Tag("fine"); Retract("Fine"); }"#).await?;
        }
        for (tenant, source) in laborious.iter().flat_map(|tenant| sources.iter().map(move |source| (tenant, source))) {
            for id in [ids[0], ids[999]] {
                let what = format!("event {id} of {source} in the store, once its rules are mended");
                until(&what, STORED_WITHIN * 3, || tenant.event(source, id)).await?;
            }
        }
        Ok(())
    })
}
