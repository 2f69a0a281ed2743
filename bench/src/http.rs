//! The least that HTTP/1.1 asks of a client that posts the same request over and over.

use std::net::SocketAddr;

use anyhow::{bail, Context as _};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const BUFFER_BYTES: usize = 64 * 1024;

/// One kept-alive connection, one request at a time.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer<'a> {
    pub status: u16,
    pub retry_after_s: Option<u64>,
    pub body: &'a [u8],
}

struct Head {
    status: u16,
    retry_after_s: Option<u64>,
    body_at: usize,
    body_bytes: usize,
}

// === impl Connection ===

impl Connection {
    pub async fn open(addr: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr).await.with_context(|| format!("connecting to {addr}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Sends the bytes of a whole request and reads the answer to it.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.stream.write_all(request).await.context("sending a request")?;
        self.buffer.clear();
        let head = loop {
            self.read().await?;
            if let Some(head) = Head::parse(&self.buffer)? {
                break head;
            }
        };
        let end = head.body_at + head.body_bytes;
        while self.buffer.len() < end {
            self.read().await?;
        }
        Ok(Answer { status: head.status, retry_after_s: head.retry_after_s, body: &self.buffer[head.body_at..end] })
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await.context("reading an answer")? == 0 {
            bail!("the connection was closed before the answer was whole");
        }
        Ok(())
    }
}

// === impl Head ===

impl Head {
    /// None until all of it is there.
    fn parse(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[..end]).context("the head of an answer")?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .with_context(|| format!("no status in {text:?}"))?;
        let mut head = Self { status, retry_after_s: None, body_at: end + 4, body_bytes: 0 };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                head.body_bytes = value.trim().parse().context("content-length")?;
            } else if name.eq_ignore_ascii_case("retry-after") {
                head.retry_after_s = value.trim().parse().ok();
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("an answer in chunks, which this client does not read");
            }
        }
        Ok(Some(head))
    }
}

#[cfg(test)]
mod tests {
    use super::Head;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 12\r\nretry-after: 1\r\n\r\n{";
        let head = Head::parse(text).unwrap().unwrap();
        assert_eq!((head.status, head.body_bytes, head.retry_after_s), (503, 12, Some(1)));
        assert_eq!(head.body_at, text.len() - 1);
        assert!(Head::parse(&text[..40]).unwrap().is_none());
    }
}
