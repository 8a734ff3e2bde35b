//! Whether the body of an answer can be read, and in one way only: clients read JSON also where it is not said to be there.
//!
//! Source: azure-core for Python, `ContentDecodePolicy` and `LongRunningOperation`; Newtonsoft.Json, `JsonTextReader`.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::header::{self, HeaderMap};

use super::ForwardError;
use super::body::AnswerBody;
use super::opaque::{Beginning, Sought, Verdict};

/// What may be blank before a document begins, or is none.
const BLANK_BYTES_MAX: usize = 64 * 1024;
/// Charsets in which JSON is what it is in UTF-8, as far as names of members go.
const CHARSETS: [&str; 7] = ["ascii", "iso-8859-1", "latin1", "us-ascii", "utf-8", "utf8", "windows-1252"];

/// What the head of an answer says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// It is JSON.
    Json,
    /// It is something else.
    Other,
    /// It has to be decoded before it can be read.
    Unclear,
    /// Nothing.
    Unsaid,
}

impl Form {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut kinds = headers.get_all(header::CONTENT_TYPE).iter().map(|value| value.to_str().unwrap_or_default()).peekable();
        let is_said = kinds.peek().is_some();
        match kinds.try_fold(true, |all, kind| has_known_charset(kind).then(|| all && is_json(kind))) {
            None => Self::Unclear,
            Some(_) if is_coded(headers) => Self::Unclear,
            Some(_) if !is_said => Self::Unsaid,
            Some(true) => Self::Json,
            Some(false) => Self::Other,
        }
    }
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
}

/// In UTF-7, say, names of members hide from whoever reads UTF-8.
fn has_known_charset(kind: &str) -> bool {
    let mut named =
        kind.split(';').skip(1).map(|parameter| parameter.trim().to_ascii_lowercase()).filter(|text| text.starts_with("charset"));
    let is_known = |parameter: String| {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        name.trim() == "charset" && CHARSETS.contains(&value.trim().trim_matches('"'))
    };
    named.next().is_none_or(is_known) && named.next().is_none()
}

fn is_coded(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether a body that is not said to be JSON begins like an object of it, and the body.
///
/// # Errors
/// When the body breaks off, or does not begin within what may be blank.
pub(super) async fn look_into(mut body: AnswerBody) -> Result<(bool, AnswerBody), ForwardError> {
    let mut beginning = Beginning::of(Sought::Object);
    let mut seen = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_cut| ForwardError::Unreadable)?.into_data() else { continue };
        let verdict = beginning.look_at(&data);
        if verdict != Verdict::Unknown && seen.is_empty() {
            return Ok((verdict == Verdict::Document, body.begin_with(data)));
        }
        seen.extend_from_slice(&data);
        if verdict != Verdict::Unknown {
            return Ok((verdict == Verdict::Document, body.begin_with(seen.freeze())));
        }
        if seen.len() > BLANK_BYTES_MAX {
            return Err(ForwardError::Unreadable);
        }
    }
    Ok((false, body.begin_with(seen.freeze())))
}

/// Whether a lenient reader may find an object in what is no JSON.
pub(super) fn may_be_object(bytes: &Bytes) -> bool {
    let is_object = Beginning::of(Sought::Object).look_at(bytes) == Verdict::Document;
    match bytes.trim_ascii_start() {
        // Texts begin with paths; only a comment may have an object behind it.
        [b'/', rest @ ..] => matches!(rest, [b'/' | b'*', ..]),
        _ => is_object,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(kinds: &[&'static str], coding: &[&'static str]) -> Form {
        let kinds = kinds.iter().map(|kind| (header::CONTENT_TYPE, header::HeaderValue::from_static(kind)));
        let codings = coding.iter().map(|coding| (header::CONTENT_ENCODING, header::HeaderValue::from_static(coding)));
        let mut headers = HeaderMap::new();
        for (name, value) in kinds.chain(codings) {
            headers.append(name, value);
        }
        Form::of(&headers)
    }

    #[test]
    fn an_answer_is_json_where_every_reader_takes_it_for_the_same() {
        assert_eq!(form(&[], &[]), Form::Unsaid);
        for kind in ["application/json", "Text/JSON; charset=UTF-8", "application/x+json;odata=verbose; charset=\"utf-8\""] {
            assert_eq!(form(&[kind], &["identity"]), Form::Json, "{kind}");
        }
        for kind in ["application/xml", "text/plain; charset=iso-8859-1", "application/octet-stream", "", "json"] {
            assert_eq!(form(&[kind], &[]), Form::Other, "{kind}");
        }
        assert_eq!(form(&["application/json", "text/plain"], &[]), Form::Other);
        for charset in [
            "charset=utf-7",
            "charset*=utf-8''utf-7",
            "charset=utf-8; charset=utf-7",
            "x=\";charset=cp037\"",
            "CharSet = utf-16",
            "charset",
        ] {
            let kind: &'static str = format!("application/json; {charset}").leak();
            assert_eq!(form(&[kind], &[]), Form::Unclear, "{kind}");
            assert_eq!(form(&["application/json", kind], &[]), Form::Unclear, "{kind}");
        }
        for coding in [&["gzip"][..], &["identity", "gzip"], &["identity, br"]] {
            assert_eq!(form(&["text/plain"], coding), Form::Unclear, "{coding:?}");
            assert_eq!(form(&[], coding), Form::Unclear, "{coding:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_was_looked_into_is_passed_on_whole() {
        for (text, expected) in [("{}", true), (" \u{feff}{\"a\"", true), ("<a/>", false), ("", false), ("  ", false), ("PK\u{3}", false)] {
            let (is_object, body) = look_into(text.to_owned().into()).await.unwrap();
            assert_eq!(is_object, expected, "{text}");
            assert_eq!(body.collect().await.unwrap().to_bytes(), text);
        }
        assert!(matches!(look_into(" ".repeat(BLANK_BYTES_MAX + 1).into()).await, Err(ForwardError::Unreadable)));
    }

    #[test]
    fn what_is_no_json_is_no_object_unless_it_begins_like_one() {
        for text in ["{'a':1}", "// x\n{}", "/* x */{}", "\u{feff}\u{feff}{}", "{\"a\":NaN}"] {
            assert!(may_be_object(&text.to_owned().into()), "{text}");
        }
        for text in ["/subscriptions/x", "[CmdletBinding()]", "# {}", "<# x #>", "\"\"\"x\"\"\"", "accepted", ""] {
            assert!(!may_be_object(&text.to_owned().into()), "{text}");
        }
    }
}
