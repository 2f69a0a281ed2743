//! A cursor names the last place that a page looked at, so what comes in meanwhile moves nothing. Opaque to callers.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;

use super::error::{invalid, Error};
use super::layout::Place;
use super::put::KEY_BYTES_MAX;

/// The first byte, so that a later layout can tell old ones, and other stores' are refused.
const VERSION: u8 = 2;
const TIME: usize = 8;
const LENGTH: usize = 2;

/// Version, time, the source's length, source, id.
pub fn write(place: &Place) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&place.time_us.to_be_bytes());
    bytes.extend_from_slice(&u16::try_from(place.source.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(place.source.as_bytes());
    bytes.extend_from_slice(place.id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// # Errors
/// [`Error::Invalid`] for what [`write`] did not write.
pub fn read(cursor: &str) -> Result<Place, Error> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
    parse(&bytes)
        .ok_or_else(|| invalid("`cursor` is none that this store gave; leave it out to begin at the newest".into()))
}

fn parse(bytes: &[u8]) -> Option<Place> {
    let rest = bytes.strip_prefix(&[VERSION])?;
    let (time, rest) = rest.split_first_chunk::<TIME>()?;
    let (length, rest) = rest.split_first_chunk::<LENGTH>()?;
    let (source, id) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    if source.len() > KEY_BYTES_MAX || id.len() > KEY_BYTES_MAX {
        return None;
    }
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_string);
    Some(Place { time_us: i64::from_be_bytes(*time), source: text(source)?, id: text(id)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_others_are_refused() {
        for (source, id) in [("/s", "1"), ("", ""), ("ä😀", "\0"), (&"x".repeat(KEY_BYTES_MAX), "")] {
            let place = Place { time_us: -5, source: source.into(), id: id.into() };
            assert_eq!(read(&write(&place)), Ok(place));
        }
        let cursor = write(&Place { time_us: 7, source: "/source".into(), id: "é".into() });
        // The last one ends within a character.
        for bad in ["", "Ag", "?", "next", &cursor[1..], &cursor[..14], &cursor[..cursor.len() - 2]] {
            assert!(matches!(read(bad), Err(Error::Invalid(_))), "{bad}");
        }
    }
}
