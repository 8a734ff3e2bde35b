//! In which form an answer is written.
//!
//! Plain `application/json` means verbose JSON, unless the client says `MaxDataServiceVersion: 3.0` or above. WCF Data Services
//! assume 3.0 for a client that says nothing and send light JSON; but clients of version 2, such as pyodata, say nothing,
//! accept `application/json` and read verbose JSON only, while clients of version 3 do say their version or ask for
//! `odata=minimalmetadata`. Sources: OData v3 protocol §5 and §8.2.1; pyodata 1.12.

use super::error::ODataError;
use super::model::shown;
use super::query::FormatOption;

/// How much light JSON says about types and links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    /// Types, links and kinds.
    Full,
    /// What the metadata URL does not imply.
    Minimal,
    /// Nothing.
    None,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Atom, and XML where Atom has no form.
    Atom,
    /// JSON of version 3.
    JsonLight(Metadata),
    /// JSON of versions 1 and 2.
    JsonVerbose,
}

/// The newest version that has light JSON.
const LIGHT: u32 = 3;
/// The newest version that is spoken here.
const VERSION_MAX: u32 = 3;

impl Format {
    /// The form that a request asks for with `$format` or, without it, `Accept`; Atom for one that takes anything.
    ///
    /// # Errors
    /// When nothing that it accepts is offered, or the version is none.
    pub fn of(accept: Option<&str>, max_version: Option<&str>, option: Option<FormatOption>) -> Result<Self, ODataError> {
        let plain_json = if max_version.map(major).transpose()?.is_some_and(|version| version >= LIGHT) {
            Self::JsonLight(Metadata::Minimal)
        } else {
            Self::JsonVerbose
        };
        match option {
            Some(FormatOption::Atom) => return Ok(Self::Atom),
            Some(FormatOption::Json) => return Ok(plain_json),
            Some(FormatOption::VerboseJson) => return Ok(Self::JsonVerbose),
            None => {}
        }
        let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else { return Ok(Self::Atom) };
        let mut best = None;
        for range in accept.split(',') {
            let (quality, format) = read_range(range, plain_json);
            if let Some(format) = format
                && quality > best.map_or(0, |(quality, _)| quality)
            {
                best = Some((quality, format));
            }
        }
        best.map(|(_, format)| format).ok_or_else(|| ODataError::NotAcceptable { accept: shown(accept) })
    }

    /// The value of `DataServiceVersion` in the answer.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Atom | Self::JsonVerbose => "2.0;",
            Self::JsonLight(_) => "3.0;",
        }
    }
}

/// Checks `DataServiceVersion` of a request.
///
/// # Errors
/// When it is newer than 3.0 or no version.
pub fn check_version(version: &str) -> Result<(), ODataError> {
    if major(version)? > VERSION_MAX { Err(ODataError::Version { version: shown(version) }) } else { Ok(()) }
}

/// The first number of `3.0;NetFx`.
fn major(version: &str) -> Result<u32, ODataError> {
    let number = version.split(';').next().unwrap_or_default().trim();
    let parts = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let read = (digits(parts.0) && digits(parts.1)).then(|| parts.0.parse().ok()).flatten();
    read.ok_or_else(|| ODataError::Version { version: shown(version) })
}

/// Thousandths of one range's weight, and what it asks for.
fn read_range(range: &str, plain_json: Format) -> (u32, Option<Format>) {
    let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
    let media_type = parts.next().unwrap_or_default();
    let parameters: Vec<(String, String)> = parts
        .filter_map(|part| part.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches('"').to_owned())))
        .collect();
    let parameter = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| &**value);
    let quality = parameter("q").map_or(Some(1000), thousandths).unwrap_or(0);
    let format = match &*media_type {
        "*/*" | "application/*" | "application/atom+xml" | "application/atomsvc+xml" | "application/xml" | "text/xml" => Some(Format::Atom),
        "application/json" => match parameter("odata") {
            None => Some(plain_json),
            Some("verbose") => Some(Format::JsonVerbose),
            Some("light" | "minimalmetadata") => Some(Format::JsonLight(Metadata::Minimal)),
            Some("fullmetadata") => Some(Format::JsonLight(Metadata::Full)),
            Some("nometadata") => Some(Format::JsonLight(Metadata::None)),
            Some(_) => None,
        },
        _ => None,
    };
    (quality, format)
}

/// `0.5` as 500. Source: RFC 9110 §12.4.2.
fn thousandths(weight: &str) -> Option<u32> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction: u32 = digits.then(|| format!("{fraction:0<3}").parse().ok()).flatten()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIGHT_MINIMAL: Format = Format::JsonLight(Metadata::Minimal);

    #[track_caller]
    fn check(accept: &str, max_version: Option<&str>, expected: Format) {
        assert_eq!(Format::of(Some(accept), max_version, None), Ok(expected), "{accept} {max_version:?}");
    }

    #[test]
    fn the_client_says_which_form_it_reads() {
        check("", None, Format::Atom);
        check("*/*", None, Format::Atom);
        check("application/atom+xml,application/xml", Some("3.0;NetFx"), Format::Atom);
        check("application/json;odata=verbose", Some("3.0"), Format::JsonVerbose);
        check("application/json; odata=\"minimalmetadata\"", None, LIGHT_MINIMAL);
        check("application/json;odata=light;q=1,application/json;odata=verbose;q=0.5", None, LIGHT_MINIMAL);
        check("application/json;odata=nometadata", None, Format::JsonLight(Metadata::None));
        check("application/json;odata=fullmetadata", None, Format::JsonLight(Metadata::Full));
        check("text/html, application/json;q=0.9, */*;q=0.8", None, Format::JsonVerbose);
        check("application/json;q=0.1, application/atom+xml;q=0.25", None, Format::Atom);
        assert_eq!(Format::of(None, None, None), Ok(Format::Atom));
    }

    #[test]
    fn plain_json_is_verbose_unless_the_client_knows_version_3() {
        check("application/json", None, Format::JsonVerbose);
        check("application/json", Some("2.0"), Format::JsonVerbose);
        check("application/json", Some("2.0;NetFx"), Format::JsonVerbose);
        check("application/json", Some("3.0"), LIGHT_MINIMAL);
        check("application/json", Some("3.0;NetFx"), LIGHT_MINIMAL);
        check("application/json, text/javascript, */*; q=0.01", Some("3.0"), LIGHT_MINIMAL);
    }

    #[test]
    fn the_option_counts_before_the_header() {
        let of = |option, version| Format::of(Some("text/html"), version, Some(option));
        assert_eq!(of(FormatOption::Json, None), Ok(Format::JsonVerbose));
        assert_eq!(of(FormatOption::Json, Some("3.0")), Ok(LIGHT_MINIMAL));
        assert_eq!(of(FormatOption::VerboseJson, Some("3.0")), Ok(Format::JsonVerbose));
        assert_eq!(of(FormatOption::Atom, None), Ok(Format::Atom));
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        let code = |accept, version| Format::of(Some(accept), version, None).unwrap_err().code();
        assert_eq!(code("text/html", None), "NotAcceptable");
        assert_eq!(code("application/json;odata=strange", None), "NotAcceptable");
        assert_eq!(code("application/json;q=0", None), "NotAcceptable");
        assert_eq!(code("application/json", Some("new")), "UnsupportedVersion");
        assert!(check_version("3.0;").is_ok() && check_version("1.0").is_ok());
        assert!(check_version("4.0").is_err() && check_version("").is_err() && check_version("3.x").is_err());
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic(accept in any::<String>(), version in any::<String>()) {
            let _unread = Format::of(Some(&accept), Some(&version), None).is_ok();
        }
    }
}
