//! A tenant's rule texts: read, changed, and taken back to what they were.

use er_event::event::rfc3339_us;
use er_event::{Kind, Problem};
use er_rules::{compile, pack, unpack, Compiled};
use er_tenant::rules::{
    current_path, set_path, texts_path, valid_text_name, version_path, versions_of, Current, Language, Text, Texts,
    Version, RULES_BUCKET, TEXTS_MAX, VERSIONS_MAX,
};
use er_tenant::Principal;
use serde::{Deserialize, Serialize};

use crate::auth::has_record;
use crate::backend::{Backend, Fault, FaultCode};
use crate::etag::{hold, tagged, Tag};
use crate::fault::OrProblem;
use crate::http::{Request, Response, JSON};
use crate::tenants::{find, invalid, read, write};

/// A change is tried again this often when somebody else's comes between.
const ATTEMPTS_MAX: u32 = 5;
/// Numbers in a row that others, or changes that ended half way, may have taken.
const NUMBERS_MAX: u64 = 100;
/// What a key-value bucket takes: NATS' default of 1 MiB a message, with room for its headers.
const VALUE_BYTES_MAX: usize = 900 * 1024;
/// More than is kept.
const SCAN_ITEMS_MAX: u32 = 1_000;
const GRL: &str = "text/plain; charset=utf-8";

/// The body of `rules:rollback`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The version whose texts are to count again.
    version: u64,
}

/// Every version that is kept, newest first.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "RulesVersions"))]
pub struct Versions {
    /// The one that counts.
    current: u64,
    versions: Vec<Version>,
}

/// What saving a text did.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "RulesSaved"))]
pub struct Put<'a> {
    name: &'a str,
    /// The new version of the whole set.
    version: u64,
    /// Rules of the whole set.
    rules: usize,
    /// Their names.
    names: Vec<String>,
}

/// What a change did, for whoever made it.
struct Saved {
    version: Version,
    /// Rules of the whole set.
    names: Vec<String>,
}

// === reading ===

/// `GET /rules`
pub fn list(backend: &dyn Backend, tenant: &str, request: &Request<'_>) -> Result<Response, Problem> {
    let (current, _) = current(backend, tenant)?;
    let version = version(backend, tenant, current.version)?.unwrap_or_default();
    tagged(request, &Tag::numbered(version.version), Response::of(200, &version)?)
}

/// `GET /rules:versions`, newest first.
pub fn versions(backend: &dyn Backend, tenant: &str) -> Result<Response, Problem> {
    let (current, _) = current(backend, tenant)?;
    let items = backend.kv_scan(RULES_BUCKET, &versions_of(tenant), None, SCAN_ITEMS_MAX).or_problem()?;
    let mut versions = items.iter().map(|item| read(&item.value)).collect::<Result<Vec<Version>, _>>()?;
    // What is above is a change that never came to count.
    versions.retain(|version| version.version <= current.version);
    versions.sort_by_key(|version| std::cmp::Reverse(version.version));
    Response::of(200, &Versions { current: current.version, versions })
}

/// `GET /rules/{name}`: the text, as it was sent.
pub fn show(
    backend: &dyn Backend,
    tenant: &str,
    name: &str,
    wanted: Option<u64>,
    request: &Request<'_>,
) -> Result<Response, Problem> {
    let number = match wanted {
        Some(version) => version,
        None => current(backend, tenant)?.0.version,
    };
    let text = texts(backend, tenant, number)?.remove(name);
    let text = text.ok_or_else(|| no_text(name, number))?;
    let content_type = match text.language {
        Language::Grl => GRL,
        Language::Json => JSON,
    };
    let tag = tag(&text);
    tagged(request, &tag, Response::new(200, content_type, text.text).header("er-rules-version", number.to_string()))
}

/// Of one text, whatever becomes of the others of the set.
fn tag(text: &Text) -> Tag {
    Tag::of(&[if text.language == Language::Grl { "grl" } else { "json" }, &text.text])
}

/// The texts of a version; of version 0, none.
pub fn texts(backend: &dyn Backend, tenant: &str, version: u64) -> Result<Texts, Problem> {
    if version == 0 {
        return Ok(Texts::new());
    }
    let item = backend.kv_get(RULES_BUCKET, &texts_path(tenant, version)).or_problem()?;
    let item = item.ok_or_else(|| no_version(version))?;
    let bytes = unpack(&item.value).map_err(damaged)?;
    serde_json::from_slice(&bytes).map_err(damaged)
}

/// The version that counts, and the revision of the key that says so.
pub fn current(backend: &dyn Backend, tenant: &str) -> Result<(Current, Option<u64>), Problem> {
    if has_record(tenant) {
        find(backend, tenant)?;
    }
    match backend.kv_get(RULES_BUCKET, &current_path(tenant)).or_problem()? {
        Some(item) => Ok((read(&item.value)?, Some(item.revision))),
        None => Ok((Current::default(), None)),
    }
}

fn version(backend: &dyn Backend, tenant: &str, number: u64) -> Result<Option<Version>, Problem> {
    let item = backend.kv_get(RULES_BUCKET, &version_path(tenant, number)).or_problem()?;
    item.map(|item| read(&item.value)).transpose()
}

// === changing ===

/// `PUT /rules/{name}`
pub fn put(
    backend: &dyn Backend,
    tenant: &str,
    name: &str,
    by: &Principal,
    request: &Request<'_>,
) -> Result<Response, Problem> {
    valid_text_name(name).map_err(invalid)?;
    let text = body(request)?;
    let mut known = false;
    let saved = change(backend, tenant, by, &format!("put {name}"), |texts, _| {
        hold(request, texts.get(name).map(tag).as_ref())?;
        known = texts.insert(name.to_owned(), text.clone()).is_some();
        Ok(())
    })?;
    let answer = Put { name, version: saved.version.version, rules: saved.version.rules, names: saved.names };
    let response = Response::of(if known { 200 } else { 201 }, &answer)?;
    tagged(request, &tag(&text), response.header("location", format!("/api/v1/rules/{name}")))
}

/// `DELETE /rules/{name}`
pub fn delete(
    backend: &dyn Backend,
    tenant: &str,
    name: &str,
    by: &Principal,
    request: &Request<'_>,
) -> Result<Response, Problem> {
    let saved = change(backend, tenant, by, &format!("delete {name}"), |texts, _| {
        let there = texts.remove(name);
        hold(request, there.as_ref().map(tag).as_ref())?;
        there.map(drop).ok_or_else(|| Problem::new(Kind::NotFound, format!("there is no rule text `{name}`")))
    })?;
    Response::of(200, &saved.version)
}

/// `POST /rules:rollback`: a new version with the texts of an old one.
pub fn roll_back(
    backend: &dyn Backend,
    tenant: &str,
    by: &Principal,
    request: &Request<'_>,
) -> Result<Response, Problem> {
    let Rollback { version } = request.json()?;
    let old = texts(backend, tenant, version)?;
    let saved = change(backend, tenant, by, &format!("roll back to {version}"), |texts, current| {
        hold(request, Some(&Tag::numbered(current)))?;
        texts.clone_from(&old);
        Ok(())
    })?;
    tagged(request, &Tag::numbered(saved.version.version), Response::of(200, &saved.version)?)
}

/// The language by the content type: JSON rules where it says JSON, else GRL.
fn body(request: &Request<'_>) -> Result<Text, Problem> {
    let media_type = request.media_type();
    let language = if media_type == JSON || media_type.ends_with("+json") { Language::Json } else { Language::Grl };
    let text = request.text()?;
    if text.is_empty() {
        // As of a client that forgot it: what was there would be gone.
        return Err(
            Problem::new(Kind::Unprocessable, "there is no rule text in the body").mend("DELETE removes a text.")
        );
    }
    Ok(Text { language, text })
}

/// Makes a new version of the set with `edit` applied to its texts, and lets it count. `edit` is given the number of the
/// version that counts until then, too.
fn change(
    backend: &dyn Backend,
    tenant: &str,
    by: &Principal,
    what: &str,
    mut edit: impl FnMut(&mut Texts, u64) -> Result<(), Problem>,
) -> Result<Saved, Problem> {
    for _ in 0..ATTEMPTS_MAX {
        let (current, revision) = current(backend, tenant)?;
        let mut texts = texts(backend, tenant, current.version)?;
        edit(&mut texts, current.version)?;
        if texts.len() > TEXTS_MAX {
            let detail = format!("{tenant} would have {} rule texts, and may have {TEXTS_MAX}", texts.len());
            return Err(Problem::new(Kind::Unprocessable, detail).mend("Put several rules into one text."));
        }
        let compiled = compile(&texts).map_err(refused)?;
        let version = Version {
            version: 0,
            time: rfc3339_us(backend.now_us()),
            by: by.by(),
            change: what.to_owned(),
            rules: compiled.names.len(),
            texts: texts.keys().cloned().collect(),
        };
        let version = store(backend, tenant, current.version, version, &texts, &compiled)?;
        let next = write(&Current { version: version.version, rules: version.rules })?;
        let done = match revision {
            Some(revision) => backend.kv_put(RULES_BUCKET, &current_path(tenant), &next, Some(revision)),
            None => backend.kv_create(RULES_BUCKET, &current_path(tenant), &next),
        };
        match done {
            Ok(_) => {
                forget(backend, tenant, version.version.saturating_sub(VERSIONS_MAX))?;
                return Ok(Saved { version, names: compiled.names });
            }
            Err(Fault { code: FaultCode::Conflict, .. }) => forget(backend, tenant, version.version)?,
            Err(fault) => return Err(fault).or_problem(),
        }
    }
    Err(Problem::new(Kind::Conflict, format!("others keep changing the rules of {tenant}"))
        .mend("Read them again, then change them."))
}

/// Writes a version under the next number that nobody took: who creates its first key owns the number.
fn store(
    backend: &dyn Backend,
    tenant: &str,
    after: u64,
    mut version: Version,
    texts: &Texts,
    compiled: &Compiled,
) -> Result<Version, Problem> {
    let texts = pack(write(texts)?.as_bytes());
    let set = pack(&compiled.bytes);
    for (what, value) in [("texts", &texts), ("compiled rules", &set)] {
        if value.len() > VALUE_BYTES_MAX {
            let detail = format!("the {what} have {} bytes when packed, over {VALUE_BYTES_MAX}", value.len());
            return Err(Problem::new(Kind::TooLarge, detail).mend("Save fewer or shorter rules."));
        }
    }
    for number in after + 1..=after + NUMBERS_MAX {
        version.version = number;
        match backend.kv_create(RULES_BUCKET, &version_path(tenant, number), &write(&version)?) {
            Ok(_) => {}
            Err(Fault { code: FaultCode::Conflict, .. }) => continue,
            Err(fault) => return Err(fault).or_problem(),
        }
        let put = |path: String, value: &str| backend.kv_put(RULES_BUCKET, &path, value, None);
        let stored = put(texts_path(tenant, number), &texts).and_then(|_| put(set_path(tenant, number), &set));
        return match stored {
            Ok(_) => Ok(version),
            Err(fault) => {
                // Its number stays taken where this fails too; the next one is as good.
                let _ = forget(backend, tenant, number);
                Err(fault).or_problem()
            }
        };
    }
    Err(Problem::new(Kind::Conflict, format!("others are changing the rules of {tenant}")).mend("Try again."))
}

fn forget(backend: &dyn Backend, tenant: &str, version: u64) -> Result<(), Problem> {
    if version == 0 {
        return Ok(());
    }
    for path in [set_path, texts_path, version_path] {
        backend.kv_delete(RULES_BUCKET, &path(tenant, version)).or_problem()?;
    }
    Ok(())
}

// === problems ===

/// All that is wrong with the texts; the first in words, for who reads no further.
pub fn refused(mistakes: Vec<er_event::problem::Mistake>) -> Problem {
    let Some(first) = mistakes.first() else {
        return Problem::new(Kind::Unprocessable, "the rules were refused");
    };
    let more = match mistakes.len() {
        1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    let detail = format!("{}, line {}, column {}: {}{more}", first.text, first.line, first.column, first.message);
    let mend = match first.expected.as_str() {
        "" => "Every mistake is listed in `errors`, with its line underlined.".to_owned(),
        expected => {
            format!("Expected here: {expected}. Every mistake is listed in `errors`, with its line underlined.")
        }
    };
    Problem::new(Kind::Unprocessable, detail).mend(mend).at(first.line, first.column).errors(mistakes)
}

fn no_text(name: &str, version: u64) -> Problem {
    Problem::new(Kind::NotFound, format!("there is no rule text `{name}` in version {version}"))
}

fn no_version(version: u64) -> Problem {
    Problem::new(Kind::NotFound, format!("there is no version {version}, or not any more"))
        .mend(format!("GET /api/v1/rules:versions lists the last {VERSIONS_MAX}."))
}

fn damaged(cause: impl std::fmt::Display) -> Problem {
    Problem::new(Kind::Internal, format!("stored rules can't be read: {cause}"))
}
