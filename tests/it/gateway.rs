//! The gateway: Ory Oathkeeper and Ory Keto in front, members of two tenants, and all who would like to be one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_deploy::client::{Answer, Client};
use er_event::keys::{Action, Role};
use er_testkit::{until, Gateway, Idp, Platform};
use reqwest::Method;
use serde_json::{json, Value};

use crate::support::{accepted, behind_gateway, event, post_once, refused, EVENT, STORED_WITHIN};

/// From the answer of the tenants API to the gateway: promised are 5 s; a machine that does much else takes its time.
const REVOKED_WITHIN: Duration = Duration::from_secs(30);
/// Until Keto is again as the records say, when somebody changed or restarted it.
const REPAIRED_WITHIN: Duration = Duration::from_secs(30);

/// Two tenants, with their members.
struct Scene {
    gateway: Gateway,
    idp: Idp,
    platform: Arc<Platform>,
    /// The tenant of alice, who runs it, adam, pat, who publishes, and vera, who looks; and its admin's API key.
    acme: String,
    acme_key: String,
    /// Bob's.
    other: String,
}

// === impl Scene ===

impl Scene {
    async fn new(platform: Arc<Platform>, gateway: Gateway, idp: Idp) -> anyhow::Result<Self> {
        let (acme, other) = ("acme".to_owned(), "other".to_owned());
        let acme_key = platform.operator.make_tenant(&acme, "admin").await?;
        platform.operator.make_tenant(&other, "admin").await?;
        let scene = Self { gateway, idp, platform, acme, acme_key, other };
        for (tenant, user, role) in [
            ("operator", "olga", "superuser"),
            ("acme", "alice", "tenant_admin"),
            ("acme", "adam", "admin"),
            ("acme", "pat", "event_publisher"),
            ("acme", "vera", "viewer"),
            ("other", "bob", "admin"),
        ] {
            let path = format!("/api/v1/tenants/{tenant}/members/{user}");
            let made = scene.platform.operator.call(Method::PUT, &path, Some(&json!({ "role": role }))).await?;
            ensure!(made.status == 201, "{user}: {} {}", made.status, made.body);
        }
        // The last of them, so that Keto was told of all.
        scene.until_status("bob, of whom Keto was told", &scene.as_("bob")?, "/api/v1/events", 200).await?;
        let pat = scene.as_("pat")?;
        until("ingest to take events", STORED_WITHIN, || async {
            accepted(&scene.publish(&pat, "0").await?, &["0"]).map(Some)
        })
        .await
        .with_context(|| scene.gateway.said())?;
        Ok(scene)
    }

    /// A client that comes through the gateway with a token of the identity provider's.
    fn as_(&self, user: &str) -> anyhow::Result<Client> {
        let tenant = match user {
            "olga" => "operator",
            "bob" => &self.other,
            _ => &self.acme,
        };
        self.gateway.client(&self.idp.token(user, tenant)?)
    }

    async fn until_status(&self, what: &str, client: &Client, path: &str, status: u16) -> anyhow::Result<()> {
        let there = until(what, REPAIRED_WITHIN, || async {
            let answer = client.get(path).await?;
            ensure!(answer.status == status, "{} {}", answer.status, answer.body);
            Ok(Some(()))
        });
        there.await.with_context(|| self.gateway.said())
    }

    async fn publish(&self, client: &Client, id: &str) -> anyhow::Result<Answer> {
        post_once(client, EVENT, event("/gate", id, "gate.test", "1")).await
    }
}

#[test]
fn whoever_is_allowed_passes_the_gateway_and_nobody_else_does() -> anyhow::Result<()> {
    behind_gateway(|platform, gateway, idp| async move {
        let mut scene = Scene::new(platform, gateway, idp).await?;
        allowed(&scene).await?;
        denied_by_role(&scene).await?;
        denied_in_another_tenant(&scene).await?;
        unknown(&scene).await?;
        around(&scene).await?;
        revoked(&scene).await?;
        changed_in_keto(&scene).await?;
        without_keto(&mut scene).await?;
        suspended(&scene).await
    })
}

async fn allowed(scene: &Scene) -> anyhow::Result<()> {
    accepted(&scene.publish(&scene.as_("pat")?, "1").await?, &["1"])?;
    let vera = scene.as_("vera")?;
    until("pat's event, for vera to see", STORED_WITHIN, || async {
        let answer = vera.get("/api/v1/events/%2Fgate/1").await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        Ok(Some(()))
    })
    .await?;
    let alice = scene.as_("alice")?;
    let members = alice.get("/api/v1/tenants/acme/members").await?;
    ensure!(members.json()["members"].as_array().map(Vec::len) == Some(4), "{} {}", members.status, members.body);
    let who = alice.get("/api/v1/whoami").await?.json();
    ensure!(who["sub"] == "alice" && who["extra"]["role"] == "tenant_admin", "{who}");
    let text = "rule Kept { when true then Tag(\"kept\"); }";
    let put = scene.gateway.client("")?.raw(Method::PUT, &format!("{}/api/v1/rules/kept", scene.gateway.url));
    let saved =
        Client::answer(put.bearer_auth(scene.as_("adam")?.key()).header("content-type", "text/plain").body(text));
    ensure!(saved.await?.status.is_success(), "adam saves rules");
    // A superuser is of no tenant, and acts in all.
    let olga = scene.as_("olga")?;
    for path in
        ["/api/v1/tenants", "/api/v1/events?tenant=acme", "/api/v1/usage/other", "/api/v1/tenants/operator/members"]
    {
        let answer = olga.get(path).await?;
        ensure!(answer.status == 200, "olga {path}: {} {}", answer.status, answer.body);
    }
    // An opaque token, of which the identity provider knows whose it is.
    scene.idp.opaque("opaque-vera", Some(json!({ "sub": "vera", "ext": { "tenant": "acme" } })));
    let opaque = scene.gateway.client("opaque-vera")?;
    ensure!(opaque.get("/api/v1/events").await?.status == 200, "vera with an opaque token");
    scene.idp.opaque("opaque-vera", None);
    refused(&opaque.get("/api/v1/events").await?, 401, "unauthorized")?;
    // An API key, in either header.
    let key = scene.gateway.client(&scene.acme_key)?;
    accepted(&scene.publish(&key, "2").await?, &["2"])?;
    ensure!(key.get("/api/v1/keys").await?.status == 200, "an admin's key");
    let url = format!("{}/api/v1/keys", scene.gateway.url);
    let other_header = key.raw(Method::GET, &url).header("x-api-key", &scene.acme_key);
    ensure!(Client::answer(other_header).await?.status == 200, "a key in X-API-Key");
    // Nobody needs to be known for these.
    for path in ["/healthz", "/", "/api/v1/openapi.json"] {
        ensure!(scene.gateway.client("")?.get(path).await?.status == 200, "{path}");
    }
    Ok(())
}

async fn denied_by_role(scene: &Scene) -> anyhow::Result<()> {
    let role = json!({ "role": "viewer" });
    for (user, method, path, body) in [
        ("pat", Method::GET, "/api/v1/events", None),
        ("vera", Method::DELETE, "/api/v1/rules/kept", None),
        ("vera", Method::GET, "/api/v1/keys", None),
        ("adam", Method::PUT, "/api/v1/tenants/acme/members/vera", Some(&role)),
        ("alice", Method::GET, "/api/v1/tenants", None),
        ("alice", Method::PUT, "/api/v1/policies/data", Some(&role)),
    ] {
        let answer = scene.as_(user)?.call(method, path, body).await?;
        refused(&answer, 403, "forbidden").with_context(|| format!("{user} {path}"))?;
    }
    refused(&scene.publish(&scene.as_("vera")?, "vera").await?, 403, "forbidden")?;
    let nowhere = scene.as_("alice")?.get("/api/v1/nothing").await?;
    refused(&nowhere, 404, "not-found")
}

async fn denied_in_another_tenant(scene: &Scene) -> anyhow::Result<()> {
    let alice = scene.as_("alice")?;
    for path in [
        "/api/v1/events?tenant=other",
        "/api/v1/usage/other",
        "/api/v1/tenants/other/members",
        "/api/v1/tenants/other/keys",
        "/api/v1/tenants/operator/members",
        "/api/v1/tenants/nobody/members",
    ] {
        refused(&alice.get(path).await?, 403, "forbidden").context(path)?;
    }
    // Whatever name she comes in: the header's, the identity provider's, or one that would be two in Keto's eyes.
    let url = format!("{}/api/v1/events", scene.gateway.url);
    for tenant in ["other", "operator", "nobody", r#"other","subject_id":"bob"#] {
        let answer = Client::answer(alice.raw(Method::GET, &url).bearer_auth(alice.key()).header("er-tenant", tenant));
        refused(&answer.await?, 403, "forbidden").context(tenant)?;
        let token = scene.idp.token("alice", tenant)?;
        refused(&scene.gateway.client(&token)?.get("/api/v1/events").await?, 403, "forbidden").context(tenant)?;
    }
    // What an identity provider says of roles and keys counts for nothing.
    let mut claims = scene.idp.claims("vera", "acme")?;
    claims["role"] = json!("superuser");
    claims["key"] = json!(er_event::keys::hash(&scene.acme_key));
    let boastful = scene.gateway.client(&scene.idp.of_claims(&claims)?)?;
    ensure!(boastful.get("/api/v1/whoami").await?.json()["extra"]["role"] == "viewer", "vera is a viewer");
    refused(&boastful.get("/api/v1/keys").await?, 403, "forbidden")?;
    // A name that passes for a key's, in Keto's eyes, is a member's of no tenant.
    let key_id = &er_event::keys::hash(&scene.acme_key)[..12];
    let token = scene.idp.token(&format!("key:acme:{key_id}"), "acme")?;
    refused(&scene.gateway.client(&token)?.get("/api/v1/keys").await?, 401, "unauthorized")
}

async fn unknown(scene: &Scene) -> anyhow::Result<()> {
    let mut shown = scene.idp.forged("alice", "acme")?;
    for (what, name, value) in [
        ("expired", "exp", json!(1)),
        ("not valid yet", "nbf", json!(4_102_444_800_u64)),
        ("another audience", "aud", json!(["elsewhere"])),
        ("another issuer", "iss", json!("http://127.0.0.1:1")),
    ] {
        let mut claims = scene.idp.claims("alice", "acme")?;
        claims[name] = value;
        shown.push((what, scene.idp.of_claims(&claims)?));
    }
    shown.push(("nothing", String::new()));
    shown.push(("a key that was never made", er_event::keys::format("acme", &[1; 32])));
    shown.push(("an opaque token of nobody", "opaque".into()));
    for (what, credential) in shown {
        let client = scene.gateway.client(&credential)?;
        refused(&client.get("/api/v1/events").await?, 401, "unauthorized").context(what)?;
        refused(&scene.publish(&client, "unknown").await?, 401, "unauthorized").context(what)?;
    }
    // Nobody who is known to the identity provider alone is somebody here.
    refused(&scene.gateway.client(&scene.idp.token("eve", "acme")?)?.get("/api/v1/events").await?, 403, "forbidden")
}

/// Straight to the API and to ingest.
async fn around(scene: &Scene) -> anyhow::Result<()> {
    let straight = &scene.platform.operator;
    let mut shown = scene.idp.forged("alice", "acme")?;
    shown.push(("a good API key", scene.acme_key.clone()));
    shown.push(("a good token of the identity provider", scene.idp.token("alice", "acme")?));
    shown.push(("nothing", String::new()));
    for (what, credential) in shown {
        let client = straight.with_key(&credential);
        refused(&client.get("/api/v1/events").await?, 401, "unauthorized").context(what)?;
        refused(&scene.publish(&client, "around").await?, 401, "unauthorized").context(what)?;
    }
    let url = format!("{}/api/v1/events", scene.platform.api_url);
    let names = [("er-tenant", "acme"), ("x-user", "alice"), ("x-tenant", "acme"), ("x-role", "superuser")];
    let named =
        names.into_iter().fold(straight.raw(Method::GET, &url), |request, (name, value)| request.header(name, value));
    refused(&Client::answer(named).await?, 401, "unauthorized")?;
    ensure!(straight.get("/api/v1/tenants").await?.status == 200, "an operator's key, to mend what is broken");
    Ok(())
}

async fn revoked(scene: &Scene) -> anyhow::Result<()> {
    let vera = scene.as_("vera")?;
    ensure!(vera.get("/api/v1/events").await?.status == 200, "vera before");
    let gone = scene.as_("alice")?.call(Method::DELETE, "/api/v1/tenants/acme/members/vera", None).await?;
    ensure!(gone.status == 204, "{} {}", gone.status, gone.body);
    until("vera to be kept out", REVOKED_WITHIN, || async {
        let answer = vera.get("/api/v1/events").await?;
        ensure!(answer.status != 200, "she gets in");
        refused(&answer, 403, "forbidden").map(Some)
    })
    .await
    .with_context(|| scene.gateway.said())?;
    // And another role is another role.
    let role = json!({ "role": "event_publisher" });
    scene.as_("alice")?.call(Method::PUT, "/api/v1/tenants/acme/members/vera", Some(&role)).await?;
    until("vera to publish", REPAIRED_WITHIN, || async {
        accepted(&scene.publish(&vera, "vera-2").await?, &["vera-2"]).map(Some)
    })
    .await?;
    refused(&vera.get("/api/v1/events").await?, 403, "forbidden")
}

/// Somebody puts a tuple in by hand, or takes one away: it opens nothing that the records don't, and is mended.
async fn changed_in_keto(scene: &Scene) -> anyhow::Result<()> {
    let (bob, eve) = (scene.as_("bob")?, scene.gateway.client(&scene.idp.token("eve", "other")?)?);
    let tuples = format!("{}/admin/relation-tuples", scene.gateway.keto_write_url);
    let tuple = json!({ "namespace": "Tenant", "object": "other", "relation": "tenant_admins", "subject_id": "eve" });
    let change = json!([{ "action": "insert", "relation_tuple": tuple }]);
    let put = Client::answer(bob.raw(Method::PATCH, &tuples).json(&change)).await?;
    ensure!(put.status == 204, "{} {}", put.status, put.body);
    // Keto lets her through for now, and the platform knows no such member.
    let answer = eve.get("/api/v1/tenants/other/members").await?;
    ensure!(matches!(answer.status.as_u16(), 401 | 403), "eve: {} {}", answer.status, answer.body);
    let query = format!("{}/relation-tuples?namespace=Tenant&object=other&subject_id=eve", scene.gateway.keto_read_url);
    until("eve's tuple to be gone", REPAIRED_WITHIN, || async {
        let left = Client::answer(bob.raw(Method::GET, &query)).await?.json();
        Ok(left["relation_tuples"].as_array().is_some_and(Vec::is_empty).then_some(()))
    })
    .await?;
    let deleted = Client::answer(bob.raw(Method::DELETE, &format!("{tuples}?namespace=Tenant&object=other"))).await?;
    ensure!(deleted.status == 204, "{} {}", deleted.status, deleted.body);
    scene.until_status("bob, once Keto is mended", &bob, "/api/v1/events", 200).await
}

async fn without_keto(scene: &mut Scene) -> anyhow::Result<()> {
    let (pat, alice) = (scene.as_("pat")?, scene.as_("alice")?);
    let away = |answer: &Answer| {
        ensure!(answer.retry_after.is_some(), "no Retry-After: {}", answer.body);
        refused(answer, 503, "unavailable")
    };
    let paused = scene.gateway.pause_keto()?;
    away(&scene.publish(&pat, "hanging").await?).context("while Keto hangs")?;
    drop(paused);
    scene.gateway.kill_keto()?;
    away(&scene.publish(&pat, "lost").await?)?;
    away(&alice.get("/api/v1/events").await?)?;
    away(&scene.gateway.client(&scene.acme_key)?.get("/api/v1/keys").await?)?;
    // What needs no permission goes on, and who is unknown is still told so.
    ensure!(alice.get("/healthz").await?.status == 200, "health");
    refused(&scene.gateway.client("")?.get("/api/v1/events").await?, 401, "unauthorized")?;
    // It comes back without a memory, and is told again.
    scene.gateway.start_keto().await?;
    scene.until_status("alice, once Keto is back", &alice, "/api/v1/events", 200).await?;
    accepted(&scene.publish(&pat, "after").await?, &["after"])?;
    until("the event after it", STORED_WITHIN, || async {
        Ok((alice.get("/api/v1/events/%2Fgate/after").await?.status == 200).then_some(()))
    })
    .await?;
    for id in ["hanging", "lost", "vera", "unknown", "around"] {
        let answer = alice.get(&format!("/api/v1/events/%2Fgate/{id}")).await?;
        refused(&answer, 404, "not-found").with_context(|| format!("event {id}, which nobody was to publish"))?;
    }
    Ok(())
}

async fn suspended(scene: &Scene) -> anyhow::Result<()> {
    let bob = scene.as_("bob")?;
    let change = json!({ "suspended": true });
    let answer = scene.as_("olga")?.call(Method::PATCH, "/api/v1/tenants/other", Some(&change)).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
    until("bob to be kept out", REVOKED_WITHIN, || async {
        refused(&bob.get("/api/v1/events").await?, 403, "forbidden").map(Some)
    })
    .await?;
    let query = format!("{}/relation-tuples?namespace=Tenant&object=other", scene.gateway.keto_read_url);
    until("a suspended tenant to have no tuples", REVOKED_WITHIN, || async {
        let left: Value = Client::answer(bob.raw(Method::GET, &query)).await?.json();
        ensure!(left["relation_tuples"].as_array().is_some_and(Vec::is_empty), "{left}");
        Ok(Some(()))
    })
    .await
}

/// What Keto's permits say of each relation is what the platform's roles do.
#[tokio::test]
async fn ketos_permits_are_the_platforms_roles() -> anyhow::Result<()> {
    const RELATIONS: [(&str, Role); 4] = [
        ("tenant_admins", Role::TenantAdmin),
        ("admins", Role::Admin),
        ("event_publishers", Role::Publisher),
        ("viewers", Role::Viewer),
    ];
    const PERMITS: [(&str, Action); 5] = [
        ("publish", Action::Publish),
        ("read", Action::Read),
        ("write", Action::Write),
        ("keys", Action::Keys),
        ("members", Action::Members),
    ];
    let gateway = Gateway::reserve().await?;
    let http = reqwest::Client::new();
    let insert = |tuple: Value| json!({ "action": "insert", "relation_tuple": tuple });
    let platform = json!({ "namespace": "Platform", "object": "eventrunner", "relation": "" });
    let mut changes = vec![
        insert(
            json!({ "namespace": "Platform", "object": "eventrunner", "relation": "superusers", "subject_id": "operator" }),
        ),
        insert(json!({ "namespace": "Tenant", "object": "acme", "relation": "platform", "subject_set": platform })),
    ];
    changes.extend(RELATIONS.map(|(relation, role)| {
        insert(json!({ "namespace": "Tenant", "object": "acme", "relation": relation, "subject_id": role.as_str() }))
    }));
    let url = format!("{}/admin/relation-tuples", gateway.keto_write_url);
    http.patch(url).json(&changes).send().await?.error_for_status()?;
    let allowed = |namespace: &'static str, object: &'static str, permit: &'static str, subject: &'static str| {
        let tuple = json!({ "namespace": namespace, "object": object, "relation": permit, "subject_id": subject });
        let asked = http.post(format!("{}/relation-tuples/check", gateway.keto_read_url)).json(&tuple);
        async move { anyhow::Ok(asked.send().await?.status().as_u16()) }
    };
    for role in Role::ALL {
        for (permit, action) in PERMITS {
            let expected = if role.allows(action) { 200 } else { 403 };
            let got = allowed("Tenant", "acme", permit, role.as_str()).await?;
            ensure!(got == expected, "{} {permit}: {got}, and the platform says {expected}", role.as_str());
            let elsewhere = allowed("Tenant", "other", permit, role.as_str()).await?;
            ensure!(elsewhere == 403, "{} {permit} in a tenant that Keto does not know: {elsewhere}", role.as_str());
        }
        let expected = if role.allows(Action::Tenants) { 200 } else { 403 };
        let got = allowed("Platform", "eventrunner", "tenants", role.as_str()).await?;
        ensure!(got == expected, "{} tenants: {got}", role.as_str());
    }
    Ok(())
}
