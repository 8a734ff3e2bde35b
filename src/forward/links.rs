//! Where the links of an answer lead, and what is said to the client instead.

use std::borrow::Cow;

use crate::arm::path::CanonicalPath;

/// What a link may lead to.
#[derive(Debug)]
pub(super) struct Origins<'a> {
    /// The backend's `scheme://host[:port]`.
    pub(super) backend: Cow<'a, str>,
    /// `host[:port]` of the gateway, as the client used it.
    pub(super) gateway: Cow<'a, str>,
}

/// Where a link of the backend leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// To the backend: said again with our origin.
    Ours(String),
    /// Anywhere else.
    Foreign,
    /// To the backend or the gateway, on a path that it would not take and that a client may take for another one.
    Unclear,
}

/// Members by which a client is sent to the next page, in lower case.
const PAGE_LINKS: [&str; 4] = ["nextlink", "@odata.nextlink", "@nextlink", "odata.nextlink"];
/// The member by which the status of an operation sends a client on to what was made, in lower case.
const RESOURCE_LINK: &str = "resourcelocation";

impl<'a> Origins<'a> {
    pub(super) fn of(backend: &'a str, gateway: &'a str) -> Self {
        Self { backend: Cow::Borrowed(backend), gateway: Cow::Borrowed(gateway) }
    }

    pub(super) fn into_owned(self) -> Origins<'static> {
        Origins { backend: Cow::Owned(self.backend.into_owned()), gateway: Cow::Owned(self.gateway.into_owned()) }
    }

    pub(super) fn classify(&self, url: &str) -> Link {
        if let Some(path) = url.strip_prefix(&*self.backend).filter(|path| path.starts_with('/')) {
            return self.checked(self.public(path));
        }
        let is_public = path_of(url, &self.gateway).is_some_and(|path| path.starts_with('/'));
        match url {
            // A backend that was told the public address builds links from it.
            url if is_public => self.checked(url.to_owned()),
            url if url.starts_with('/') && !url.starts_with("//") => self.checked(self.public(url)),
            _ => Link::Foreign,
        }
    }

    fn checked(&self, url: String) -> Link {
        if place_of(&url, &self.gateway).is_some() { Link::Ours(url) } else { Link::Unclear }
    }

    fn public(&self, path: &str) -> String {
        format!("https://{}{path}", self.gateway)
    }
}

/// The path that a link to the gateway leads to.
pub(super) fn place_of(url: &str, gateway: &str) -> Option<CanonicalPath> {
    let path = path_of(url, gateway)?.split(['?', '#']).next()?;
    CanonicalPath::parse(path).ok()
}

/// What stands behind our own origin.
fn path_of<'u>(url: &'u str, gateway: &str) -> Option<&'u str> {
    url.strip_prefix("https://")?.strip_prefix(gateway)
}

/// Whether a client follows what a member of this name says, in a document or a part of it.
pub(super) fn is_followed(member: &str) -> bool {
    is_page_link(member) || is_called(member, RESOURCE_LINK)
}

/// Whether it leads to the next page.
pub(super) fn is_page_link(member: &str) -> bool {
    PAGE_LINKS.iter().any(|known| is_called(member, known))
}

/// Whether a lenient reader takes the name of a member for this one. Source: Go, `encoding/json`, which folds these two letters as well.
pub(super) fn is_called(member: &str, known: &str) -> bool {
    let folded = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    member.chars().map(folded).eq(known.chars())
}

/// Whether it is the name of a region, say, and no link.
pub(super) fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" -_".contains(&byte))
}
