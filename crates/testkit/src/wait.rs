//! Waiting for a condition, never for a time.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::bail;

const POLL: Duration = Duration::from_millis(50);

/// Asks until there is an answer. `Ok(None)` and `Err` both mean «not yet»; the last error is told when time is up.
///
/// # Errors
/// What was waited for, for how long, and why it was not there.
pub async fn until<T, F, Fut>(what: &str, deadline: Duration, mut probe: F) -> anyhow::Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<Option<T>>>,
{
    let started = Instant::now();
    let mut last = String::from("it was not there yet");
    loop {
        let left = deadline.saturating_sub(started.elapsed());
        match tokio::time::timeout(left, probe()).await {
            Ok(Ok(Some(answer))) => return Ok(answer),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => last = format!("{error:#}"),
            Err(_) => last = format!("{last}; and its last look had no answer"),
        }
        if started.elapsed() >= deadline {
            bail!("{what}: not within {} s: {last}", deadline.as_secs_f32());
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_never_comes_is_named_with_the_last_reason() {
        let error = until::<(), _, _>("rain", Duration::from_millis(120), || async { bail!("the sky is clear") })
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "rain: not within 0.12 s: the sky is clear");
    }

    #[tokio::test]
    async fn a_probe_that_hangs_does_not_outlast_the_deadline() {
        let started = Instant::now();
        let hanging = until::<(), _, _>("godot", Duration::from_millis(100), std::future::pending);
        assert!(hanging.await.is_err());
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
