//! A tenant as its own administrator sees it.

use anyhow::{ensure, Context as _};
use er_deploy::client::{Answer, Client};
use reqwest::{Method, StatusCode};
use serde_json::{json, Value};

/// A tenant with a key.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub id: String,
    /// In the name of its admin.
    pub client: Client,
    pub operator: Client,
}

/// A key that was made: what it is called, and a client in its name.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: String,
    pub client: Client,
}

/// A page of stored events, newest first, each as the JSON text that is stored.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub events: Vec<String>,
    pub cursor: Option<String>,
}

// === impl Tenant ===

impl Tenant {
    /// A new key of this role.
    ///
    /// # Errors
    /// What the API refuses.
    pub async fn key(&self, role: &str) -> anyhow::Result<Key> {
        let made = self.client.call(Method::POST, "/api/v1/keys", Some(&json!({ "role": role, "name": role }))).await?;
        ensure!(made.status == StatusCode::CREATED, "a key of role {role}: {} {}", made.status, made.body);
        let json = made.json();
        let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_string).context(made.body.clone());
        Ok(Key { id: text("id")?, client: self.client.with_key(&text("key")?) })
    }

    /// Changes the tenant, as an operator.
    ///
    /// # Errors
    /// What the API refuses.
    pub async fn patch(&self, change: &Value) -> anyhow::Result<()> {
        let answer = self.operator.call(Method::PATCH, &format!("/api/v1/tenants/{}", self.id), Some(change)).await?;
        ensure!(answer.status.is_success(), "changing {}: {} {}", self.id, answer.status, answer.body);
        Ok(())
    }

    /// One event as it is stored; none where there is none.
    ///
    /// # Errors
    /// Any answer besides 200 and 404.
    pub async fn event(&self, source: &str, id: &str) -> anyhow::Result<Option<String>> {
        let answer = self.client.get(&format!("/api/v1/events/{}/{}", encode(source), encode(id))).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.body)),
            StatusCode::NOT_FOUND => Ok(None),
            status => anyhow::bail!("event {id} of {source}: {status} {}", answer.body),
        }
    }

    /// A page of what is stored. `query` is what follows the `?`, encoded.
    ///
    /// # Errors
    /// Any answer besides 200.
    pub async fn page(&self, query: &str) -> anyhow::Result<Page> {
        let answer = self.client.get(&format!("/api/v1/events?{query}")).await?;
        ensure!(answer.status == StatusCode::OK, "events?{query}: {} {}", answer.status, answer.body);
        read_page(&answer)
    }

    /// Every stored event that `query` selects.
    ///
    /// # Errors
    /// Any answer besides 200, and a cursor that leads nowhere.
    pub async fn events(&self, query: &str) -> anyhow::Result<Vec<String>> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.page(&format!("{query}&limit=1000{cursor}")).await?;
            all.extend(page.events);
            let Some(next) = page.cursor else { return Ok(all) };
            let next = format!("&cursor={}", encode(&next));
            ensure!(next != cursor, "the cursor {next} leads back to itself");
            cursor = next;
        }
    }

    /// Every dead letter, oldest first.
    ///
    /// # Errors
    /// Any answer besides 200.
    pub async fn dead_letters(&self) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let answer = self.client.get(&format!("/api/v1/dead-letters?after={after}&limit=1000")).await?;
            ensure!(answer.status == StatusCode::OK, "dead letters: {} {}", answer.status, answer.body);
            let page = answer.json();
            let items = page.get("items").and_then(Value::as_array).context("a page without items")?;
            all.extend(items.iter().cloned());
            match page.get("next").and_then(Value::as_u64) {
                Some(next) if next > after => after = next,
                Some(next) => anyhow::bail!("after {after} comes {next}"),
                None => return Ok(all),
            }
        }
    }
}

fn read_page(answer: &Answer) -> anyhow::Result<Page> {
    #[derive(serde::Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        events: Vec<&'a serde_json::value::RawValue>,
        cursor: Option<String>,
    }
    let wire: Wire<'_> =
        serde_json::from_str(&answer.body).with_context(|| format!("a page of events: {}", answer.body))?;
    Ok(Page { events: wire.events.iter().map(|event| event.get().to_string()).collect(), cursor: wire.cursor })
}

/// Percent-encodes a text for one segment of a path, or one value of a query.
#[must_use]
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn nothing_of_a_source_is_taken_for_a_part_of_the_url() {
        assert_eq!(encode("https://a.b/c d?é"), "https%3A%2F%2Fa.b%2Fc%20d%3F%C3%A9");
    }
}
