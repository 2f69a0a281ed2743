//! Lists that come in pages: `limit` and `cursor` in, `cursor` out, and where the next page is as a link.

use form_urlencoded::{parse, Serializer};

use crate::http::{Request, Response};

/// The answer with a `Link` to the next page, where there is one. `cursor` is what its body says.
pub fn linked(request: &Request<'_>, cursor: Option<&str>, response: Response) -> Response {
    let Some(cursor) = cursor else { return response };
    let kept = parse(request.query.as_bytes()).filter(|(name, _)| !matches!(name.as_ref(), "cursor" | "after"));
    let query = Serializer::new(String::new()).extend_pairs(kept).append_pair("cursor", cursor).finish();
    response.header("link", format!("<{}?{query}>; rel=\"next\"", request.path))
}
