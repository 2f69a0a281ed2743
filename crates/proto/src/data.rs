//! An event's data. What its content type says is JSON is JSON, in whichever field it came; text stays text, bytes become
//! `data_base64`.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use er_event::admit::says_json;
use er_event::json::{check, write_string};
use er_event::{Kind, Problem};

use crate::cloudevents::cloud_event::Data;
use crate::cloudevents::CloudEvent;
use crate::event::key;

const CONTENT_TYPE: &str = "datacontenttype";
const SCHEMA: &str = "dataschema";
/// What a message of another schema is, where the sender does not say.
const PROTOBUF: &str = "application/protobuf";

/// About how long the data is in JSON.
pub(crate) fn len(event: &CloudEvent) -> usize {
    match &event.data {
        None => 0,
        Some(Data::TextData(text)) => text.len(),
        Some(Data::BinaryData(bytes)) => bytes.len() / 3 * 4 + 4,
        Some(Data::ProtoData(any)) => any.value.len() / 3 * 4 + any.type_url.len() + 64,
    }
}

/// Writes the members that hold the data.
pub(crate) fn write(event: &CloudEvent, out: &mut String) -> Result<(), Problem> {
    // An event without a content type says that its data is JSON (JSON format, 3.1).
    let json = event.text(CONTENT_TYPE).map(says_json);
    match (&event.data, json) {
        (None, _) => {}
        // As an empty body in binary mode: no data.
        (Some(Data::TextData(text)), Some(true) | None) if text.is_empty() => {}
        (Some(Data::BinaryData(bytes)), Some(true)) if bytes.is_empty() => {}
        (Some(Data::TextData(text)), Some(true)) => spliced(out, text)?,
        (Some(Data::TextData(text)), None) => spliced(out, text).map_err(|problem| {
            Problem::new(
                Kind::UnknownContentType,
                format!("`text_data` is not JSON, and there is no `datacontenttype`: {}", problem.detail),
            )
            .mend("Name the data's media type in the attribute `datacontenttype`.")
            .field("data")
        })?,
        (Some(Data::TextData(text)), Some(false)) => {
            key(out, "data");
            write_string(out, text);
        }
        (Some(Data::BinaryData(bytes)), Some(true)) => {
            let text = std::str::from_utf8(bytes).map_err(|error| {
                Problem::new(
                    Kind::InvalidUtf8,
                    format!(
                        "byte {} of `binary_data` is not UTF-8, and its `datacontenttype` is JSON",
                        error.valid_up_to()
                    ),
                )
                .mend("Send JSON in UTF-8, or name the type that the data is of.")
                .field("data")
            })?;
            spliced(out, text)?;
        }
        (Some(Data::BinaryData(bytes)), _) => base64(out, bytes),
        (Some(Data::ProtoData(any)), _) => {
            for (name, value) in [(CONTENT_TYPE, PROTOBUF), (SCHEMA, any.type_url.as_str())] {
                if !value.is_empty() && !event.attributes.contains_key(name) {
                    key(out, name);
                    write_string(out, value);
                }
            }
            base64(out, &any.value);
        }
    }
    Ok(())
}

/// JSON text as it came. It must be one JSON value: what follows one would be taken for a member of the event.
fn spliced(out: &mut String, text: &str) -> Result<(), Problem> {
    check(text).map_err(|fault| Problem::from(fault).field("data"))?;
    key(out, "data");
    out.push_str(text);
    Ok(())
}

fn base64(out: &mut String, bytes: &[u8]) {
    key(out, "data_base64");
    out.push('"');
    STANDARD.encode_string(bytes, out);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudevents::cloud_event::cloud_event_attribute_value::Attr;
    use crate::cloudevents::cloud_event::CloudEventAttributeValue;
    use prost_types::Any;

    fn event(content_type: Option<&str>, data: Data) -> CloudEvent {
        let attributes = content_type.map(|text| {
            (CONTENT_TYPE.to_string(), CloudEventAttributeValue { attr: Some(Attr::CeString(text.to_string())) })
        });
        CloudEvent { attributes: attributes.into_iter().collect(), data: Some(data), ..CloudEvent::default() }
    }

    fn members(content_type: Option<&str>, data: Data) -> Result<String, Problem> {
        let mut out = String::new();
        write(&event(content_type, data), &mut out)?;
        Ok(out.trim_start_matches(',').to_string())
    }

    fn text(text: &str) -> Data {
        Data::TextData(text.to_string())
    }

    #[test]
    fn data_takes_the_form_that_its_content_type_asks_for() {
        for (content_type, data, wanted) in [
            (None, text(" {\"a\": 1.0}\n"), "\"data\": {\"a\": 1.0}\n"),
            (Some("application/json"), text("\"x\""), "\"data\":\"x\""),
            (Some("application/vnd.x+json; charset=utf-8"), text("null"), "\"data\":null"),
            (Some("text/plain"), text("a\n\"b\""), "\"data\":\"a\\n\\\"b\\\"\""),
            (Some("application/xml"), text(""), "\"data\":\"\""),
            (None, text(""), ""),
            (Some("application/json"), Data::BinaryData(b"[1]".to_vec()), "\"data\":[1]"),
            (None, Data::BinaryData(b"[1]".to_vec()), "\"data_base64\":\"WzFd\""),
            (Some("image/png"), Data::BinaryData(vec![0, 255]), "\"data_base64\":\"AP8=\""),
            (Some("text/plain"), Data::BinaryData(vec![]), "\"data_base64\":\"\""),
        ] {
            assert_eq!(members(content_type, data.clone()).as_deref(), Ok(wanted), "{content_type:?} {data:?}");
        }
    }

    #[test]
    fn a_message_of_another_schema_keeps_its_bytes_and_its_name() {
        let any = || Data::ProtoData(Any { type_url: "type.googleapis.com/a.B".into(), value: vec![8, 1] });
        assert_eq!(
            members(None, any()).as_deref(),
            Ok(
                r#""datacontenttype":"application/protobuf","dataschema":"type.googleapis.com/a.B","data_base64":"CAE=""#
            )
        );
        assert_eq!(
            members(Some("application/x-protobuf"), any()).as_deref(),
            Ok(r#""dataschema":"type.googleapis.com/a.B","data_base64":"CAE=""#)
        );
    }

    #[test]
    fn what_is_not_the_json_that_it_says_is_refused() {
        for (content_type, data, kind) in [
            (Some("application/json"), text("{\"a\":1}, \"id\":\"2\""), Kind::InvalidJson),
            (Some("application/json"), text("{\"a\":1,\"a\":2}"), Kind::DuplicateKey),
            (Some("application/json"), Data::BinaryData(vec![b'"', 255, b'"']), Kind::InvalidUtf8),
            (None, text("plain"), Kind::UnknownContentType),
        ] {
            let problem = members(content_type, data).unwrap_err();
            assert_eq!((problem.kind, problem.field.as_deref()), (kind, Some("data")), "{problem}");
        }
    }
}
