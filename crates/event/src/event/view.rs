//! One event seen through its text: what routing needs, as slices.

use std::borrow::Cow;

use crate::json::{self, Members};
use crate::Reject;

/// One event. Its text was checked when it was admitted; what is inside `data` is not looked at.
#[derive(Debug, Clone)]
pub struct EventRef<'a> {
    /// The whole object's text.
    pub raw: &'a str,
    pub id: Cow<'a, str>,
    pub source: Cow<'a, str>,
    pub event_type: Cow<'a, str>,
    /// RFC 3339, as given.
    pub time: Option<Cow<'a, str>>,
    pub subject: Option<Cow<'a, str>>,
    /// The `partitionkey` extension.
    pub partition_key: Option<Cow<'a, str>>,
    pub data_content_type: Option<Cow<'a, str>>,
    /// Raw JSON text.
    pub data: Option<&'a str>,
    /// Standard base64 with padding.
    pub data_base64: Option<Cow<'a, str>>,
}

impl<'a> EventRef<'a> {
    /// One pass over the top level. An error says that `raw` is no object, is cut off, or lacks `id`, `source` or
    /// `type`; whether the event is valid beyond that was for admission to say. `null` is as good as absent.
    pub fn parse(raw: &'a str) -> Result<Self, Reject> {
        let mut members = Members::of(raw).ok_or_else(|| reject("it is no JSON object"))?;
        let event = EventRef::read(&mut members)?;
        if !members.whole() {
            return Err(reject("its JSON is broken"));
        }
        Ok(EventRef { raw, ..event })
    }

    /// The event whose members these are, without its `raw`.
    pub(super) fn read(members: &mut Members<'a>) -> Result<Self, Reject> {
        let (mut id, mut source, mut event_type) = (None, None, None);
        let (mut time, mut subject, mut partition_key, mut data_content_type) = (None, None, None, None);
        let (mut data, mut data_base64) = (None, None);
        for member in members {
            let slot = match &*member.key {
                "id" => &mut id,
                "source" => &mut source,
                "type" => &mut event_type,
                "time" => &mut time,
                "subject" => &mut subject,
                "partitionkey" => &mut partition_key,
                "datacontenttype" => &mut data_content_type,
                "data_base64" => &mut data_base64,
                "data" => {
                    data = Some(member.value);
                    continue;
                }
                _ => continue,
            };
            *slot = value(member.value);
        }
        Ok(EventRef {
            raw: "",
            id: id.ok_or_else(|| reject("it has no `id`"))?,
            source: source.ok_or_else(|| reject("it has no `source`"))?,
            event_type: event_type.ok_or_else(|| reject("it has no `type`"))?,
            time,
            subject,
            partition_key,
            data_content_type,
            data,
            data_base64,
        })
    }

    /// The value of any top-level attribute by its name: a string decoded, a number or boolean as its JSON text.
    /// None when it is absent or `null`. Each call is a pass over the top level.
    pub fn extension(&self, name: &str) -> Option<Cow<'a, str>> {
        value(Members::of(self.raw)?.find(|member| member.key == name)?.value)
    }
}

/// An attribute's value as text.
#[inline]
fn value(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => json::string(raw),
        b't' | b'f' | b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

fn reject(what: &str) -> Reject {
    Reject::Event(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"specversion":"1.0","id":"a\"1","source":"/s","type":"t","time":"2024-01-01T00:00:00Z",
        "subject":null,"partitionkey":"p","flag":true,"n":-3,"data":{"id":"x","list":[1,"}"]},"tail":"é"}"#;

    #[test]
    fn an_event_shows_its_attributes() {
        let event = EventRef::parse(EVENT).unwrap();
        assert_eq!((&*event.id, &*event.source, &*event.event_type), ("a\"1", "/s", "t"));
        assert_eq!(event.time.as_deref(), Some("2024-01-01T00:00:00Z"));
        assert_eq!((event.subject.as_deref(), event.partition_key.as_deref()), (None, Some("p")));
        assert_eq!(event.data, Some(r#"{"id":"x","list":[1,"}"]}"#));
        assert!(event.data_base64.is_none() && event.data_content_type.is_none());
    }

    #[test]
    fn extensions_are_found_by_name() {
        let event = EventRef::parse(EVENT).unwrap();
        let found = ["flag", "n", "tail", "subject", "data", "nothing"].map(|name| event.extension(name));
        assert_eq!(
            found.each_ref().map(|value| value.as_deref()),
            [Some("true"), Some("-3"), Some("é"), None, None, None]
        );
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            "{\"id\":\"1\"}",
            r#"{"id":"1","source":"s"}"#,
            r#"{"id":null,"source":"s","type":"t"}"#,
            &EVENT[..99],
        ] {
            assert!(EventRef::parse(text).is_err(), "{text}");
        }
    }
}
