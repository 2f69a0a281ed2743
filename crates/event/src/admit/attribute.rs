//! What an attribute may be called and may hold, the same in every content mode.

use std::borrow::Cow;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;

use crate::event::{time_us, OWN_EXTENSIONS, RESERVED_TYPES};
use crate::json;
use crate::limits::{ATTRIBUTE_BYTES_MAX, ATTRIBUTE_NAME_CHARS_MAX};
use crate::{Kind, Problem};

use super::media::Media;

fn wrong(name: &str, detail: String, mend: &str) -> Problem {
    Problem::new(Kind::InvalidEvent, detail).mend(mend).field(name)
}

/// A name of an extension.
pub(super) fn name(name: &str) -> Result<(), Problem> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !name.is_empty() && name.len() <= ATTRIBUTE_NAME_CHARS_MAX && name.bytes().all(plain) {
        return Ok(());
    }
    let shown: String = name.chars().take(ATTRIBUTE_NAME_CHARS_MAX).collect();
    Err(wrong(
        &shown,
        format!("{shown:?} can't be an attribute's name"),
        "Name attributes in lower-case letters and digits, at most 20 of them; put everything else into `data`.",
    ))
}

/// A value that is text, in the way its attribute wants it.
pub(crate) fn text(name: &str, value: &str) -> Result<(), Problem> {
    if value.len() > ATTRIBUTE_BYTES_MAX {
        let detail = format!("`{name}` has {} bytes, over {ATTRIBUTE_BYTES_MAX}", value.len());
        return Err(wrong(name, detail, "Put long values into `data`."));
    }
    if let Some(code) = control(value) {
        let detail = format!("`{name}` holds the control character U+{code:04X}");
        return Err(wrong(name, detail, "Send attributes without control characters."));
    }
    match name {
        "id" | "source" | "type" | "subject" | "datacontenttype" | "dataschema" | "partitionkey"
            if value.is_empty() =>
        {
            return Err(wrong(
                name,
                format!("`{name}` is empty"),
                "Give it a value, or leave an optional attribute out.",
            ));
        }
        _ => {}
    }
    match name {
        "specversion" if value != "1.0" => Err(wrong(
            name,
            format!("specversion {value:?} is not supported"),
            "Send CloudEvents 1.0, with `specversion` \"1.0\".",
        )),
        "source" | "dataschema" if value.contains(' ') => Err(wrong(
            name,
            format!("`{name}` {value:?} is no URI reference: it holds a space"),
            "Write spaces in it as %20 (and in a ce- header, where % is itself encoded, as %2520).",
        )),
        "time" if time_us(value).is_none() => Err(wrong(
            name,
            format!("`time` {value:?} is no RFC 3339 time"),
            "Write it like 2024-05-06T07:08:09.123Z or with an offset like +02:00.",
        )),
        "datacontenttype" if Media::parse(value).is_err() => {
            Err(wrong(name, format!("`datacontenttype` {value:?} is no media type"), "Write it like application/json."))
        }
        _ => Ok(()),
    }
}

/// Why an attribute of this name and value is the platform's to set; none where it is not.
pub(crate) fn own(name: &str, value: &str) -> Option<Problem> {
    match name {
        "type" if value.starts_with(RESERVED_TYPES) => Some(wrong(
            name,
            format!("types starting with `{RESERVED_TYPES}` are the platform's own"),
            "Choose another type, such as a reversed domain name of yours.",
        )),
        _ if OWN_EXTENSIONS.contains(&name) => Some(wrong(
            name,
            format!("`{name}` is the platform's own"),
            "Leave it out: the platform sets it. An extension of yours needs another name.",
        )),
        _ => None,
    }
}

/// The first control character, C1 included.
fn control(value: &str) -> Option<u32> {
    let bytes = value.as_bytes();
    // DEL and the bytes that may lead a C1 character: only then look at characters.
    if bytes.iter().all(|byte| *byte >= 0x20 && *byte != 0x7F && *byte != 0xC2) {
        return None;
    }
    value.chars().find(|character| character.is_control()).map(u32::from)
}

/// A JSON value as an attribute that must be a string. None for `null`, which is as good as absent.
pub(super) fn json_text<'a>(name: &str, raw: &'a str) -> Result<Option<Cow<'a, str>>, Problem> {
    if raw == "null" {
        return Ok(None);
    }
    let Some(value) = json::string(raw) else {
        return Err(wrong(
            name,
            format!("`{name}` must be a string, found {}", json::kind_of(raw)),
            "Send it as a JSON string.",
        ));
    };
    text(name, &value)?;
    Ok(Some(value))
}

/// A JSON value as an extension: string, boolean, or integer of 32 bits.
pub(super) fn json_extension(name: &str, raw: &str) -> Result<(), Problem> {
    let found = match raw.as_bytes().first() {
        Some(b'"') => return json_text(name, raw).map(|_| ()),
        Some(b't' | b'f' | b'n') => return Ok(()),
        Some(b'-' | b'0'..=b'9') if raw.parse::<i32>().is_ok() => return Ok(()),
        Some(b'-' | b'0'..=b'9') => "a number that is no integer of 32 bits",
        _ => json::kind_of(raw),
    };
    Err(wrong(
        name,
        format!("`{name}` must be a string, boolean or integer, found {found}"),
        "Send it as a string, or put it into `data`.",
    ))
}

/// The JSON value of `data_base64`; whether there is one.
pub(super) fn json_base64(raw: &str) -> Result<bool, Problem> {
    if raw == "null" {
        return Ok(false);
    }
    let Some(value) = json::string(raw) else {
        let detail = format!("`data_base64` must be a string, found {}", json::kind_of(raw));
        return Err(wrong("data_base64", detail, "Send it as a JSON string, or send JSON as `data`."));
    };
    match STANDARD.decode(value.as_bytes()) {
        Ok(_) => Ok(true),
        Err(error) => Err(wrong(
            "data_base64",
            format!("`data_base64` is not base64: {error}"),
            "Encode it with the standard alphabet of RFC 4648 and padding, without line breaks.",
        )),
    }
}
