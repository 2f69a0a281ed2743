//! Server-sent events, read by the letter of the HTML standard and independently of the server's code.

use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_deploy::client::Client;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};

/// One dispatched block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// The last event id, as it stands after this block.
    pub id: String,
    pub event: String,
    /// Empty for a block that only moves the id.
    pub data: String,
}

/// An open stream.
pub struct Tail {
    bytes: BoxStream<'static, anyhow::Result<Vec<u8>>>,
    buffer: Vec<u8>,
    id: String,
}

// === impl Tail ===

impl Tail {
    /// Opens `/api/v1/tail` in the name of the client's key; `query` is what follows the `?`.
    ///
    /// # Errors
    /// Any answer besides 200 with an event stream.
    pub async fn open(client: &Client, query: &str, last_event_id: Option<&str>) -> anyhow::Result<Self> {
        let url = format!("{}/api/v1/tail?{query}", client.api);
        let mut request = client.raw(reqwest::Method::GET, &url).bearer_auth(client.key());
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await?;
        let status = response.status();
        let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        ensure!(status == 200 && kind == "text/event-stream", "{url}: {status} {kind}");
        let bytes = response.bytes_stream().map_ok(|bytes| bytes.to_vec()).map_err(anyhow::Error::from).boxed();
        Ok(Self { bytes, buffer: Vec::new(), id: String::new() })
    }

    /// The last event id so far, from which on another misses nothing.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The next block, or none at the end of the stream.
    ///
    /// # Errors
    /// When neither came by the deadline.
    pub async fn next(&mut self, deadline: Duration) -> anyhow::Result<Option<Block>> {
        tokio::time::timeout(deadline, self.read())
            .await
            .with_context(|| format!("no block of the tail within {} s", deadline.as_secs_f32()))?
    }

    /// The next block with data, or none at the end of the stream.
    ///
    /// # Errors
    /// When neither came by the deadline.
    pub async fn next_event(&mut self, deadline: Duration) -> anyhow::Result<Option<Block>> {
        let read = async {
            loop {
                match self.read().await? {
                    Some(block) if block.data.is_empty() => {}
                    other => return anyhow::Ok(other),
                }
            }
        };
        tokio::time::timeout(deadline, read)
            .await
            .with_context(|| format!("no event of the tail within {} s", deadline.as_secs_f32()))?
    }

    async fn read(&mut self) -> anyhow::Result<Option<Block>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let text: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(block) = block(std::str::from_utf8(&text)?, &mut self.id) {
                    return Ok(Some(block));
                }
                continue;
            }
            match self.bytes.next().await {
                Some(bytes) => self.buffer.extend(bytes?),
                None => return Ok(None),
            }
        }
    }
}

/// None for a block of comments only.
fn block(text: &str, id: &mut String) -> Option<Block> {
    let mut block = Block::default();
    let mut lines = Vec::new();
    let mut fields = false;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with(':')) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => *id = value.to_string(),
            "event" => block.event = value.to_string(),
            "data" => lines.push(value),
            _ => continue,
        }
        fields = true;
    }
    block.data = lines.join("\n");
    block.id.clone_from(id);
    fields.then_some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_as_browsers_do() {
        let mut id = String::from("4");
        assert_eq!(block(": hello\nretry: 500\n\n", &mut id), None);
        let event = block("event: a\ndata: 1\ndata:2\n\n", &mut id);
        assert_eq!(event, Some(Block { id: "4".into(), event: "a".into(), data: "1\n2".into() }));
        assert_eq!(block("id: 5\n: keep-alive\n\n", &mut id), Some(Block { id: "5".into(), ..Block::default() }));
        assert_eq!(id, "5");
    }
}
