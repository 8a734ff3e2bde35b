//! Lines of a log: a record and its links, and what is left of a line that was torn.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};
use memchr::memmem;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::hash::Hash;
use crate::ids::{RequestId, TenantId};
use crate::record::stored::{push_guid, push_number};

/// Where the links of a line begin. A quotation mark inside a JSON string is escaped, so no text of a record looks like this.
const MARK: &[u8] = br#","chain":["#;
const END: &[u8] = b"]}";
const OPERATOR: &str = "operator";
/// Numbers up to here are exact in every JSON reader. Source: RFC 8259 §6.
pub(super) const SEQ_MAX: u64 = (1 << 53) - 1;

/// Whose log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Log {
    /// The operator's: requests of nobody, whose tenant was not proven.
    Operator,
    /// A tenant's: what was done in it, and what its people did elsewhere.
    Tenant(TenantId),
}

/// A text that names no log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no log; expected the id of a tenant, or `operator`")]
pub struct NotALog {
    text: String,
}

/// A record's place in one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Whose log.
    pub tenant: Log,
    /// 1 for the first record of the log, and no number is left out.
    pub seq: u64,
    /// Hash of the line before it in that log.
    pub prev: Hash,
}

/// A line taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked<'a> {
    /// The record up to its links: `{"schema":…`, without the closing brace.
    head: &'a [u8],
    /// The links, as they stand in the line.
    pub links: Vec<Link>,
}

/// A line that is none of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// There are no links.
    #[error("the line has no links")]
    Unlinked,
    /// The links have another form than they are written in.
    #[error("the links of the line cannot be read")]
    Malformed,
}

impl<'a> Linked<'a> {
    /// Takes a line apart; `line` is without its line feed.
    ///
    /// # Errors
    /// When there are no links, or they are not spelled exactly as they are written here.
    pub fn parse(line: &'a [u8]) -> Result<Self, LineError> {
        let at = memmem::rfind(line, MARK).ok_or(LineError::Unlinked)?;
        let (head, rest) = line.split_at_checked(at).ok_or(LineError::Malformed)?;
        let array = rest.get(MARK.len() - 1..rest.len().saturating_sub(1)).ok_or(LineError::Malformed)?;
        let links: Vec<Link> = serde_json::from_slice(array).map_err(|_other_form| LineError::Malformed)?;
        let has_numbers = links.iter().all(|link| (1..=SEQ_MAX).contains(&link.seq));
        let is_canonical = !links.is_empty() && has_numbers && suffix(&links) == rest;
        is_canonical.then_some(Self { head, links }).ok_or(LineError::Malformed)
    }

    /// The line as it stands in the log of `link`, and nowhere else: with this link alone.
    #[must_use]
    pub fn line_of(&self, link: &Link) -> Vec<u8> {
        [self.head, &suffix(std::slice::from_ref(link))].concat()
    }

    /// The hash of [`Linked::line_of`].
    #[must_use]
    pub fn hash_of(&self, link: &Link) -> Hash {
        Hash::of(&self.line_of(link))
    }

    /// The id of the record, as far as it can be read.
    #[must_use]
    pub fn id(&self) -> Option<RequestId> {
        id_in(self.head)
    }
}

/// The id in a line, whatever else is wrong with it.
pub(super) fn id_in(line: &[u8]) -> Option<RequestId> {
    const MEMBER: &[u8] = br#""id":""#;
    const LENGTH: usize = 36;
    let from = memmem::find(line, MEMBER)? + MEMBER.len();
    std::str::from_utf8(line.get(from..from + LENGTH)?).ok()?.parse().ok()
}

/// Hashes lines that begin with the same record, one after the other.
#[derive(Clone)]
pub(in crate::record) struct LineHasher(Context);

impl LineHasher {
    pub(in crate::record) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(in crate::record) fn finish(self) -> Hash {
        Hash::from_digest(&self.0.finish())
    }
}

impl Default for LineHasher {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl fmt::Debug for LineHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineHasher").finish_non_exhaustive()
    }
}

/// Appends links to a record, one after the other, and hashes each line that comes of it.
pub(in crate::record) struct Linker<'l> {
    line: &'l mut Vec<u8>,
    hasher: LineHasher,
    before: &'static [u8],
}

impl<'l> Linker<'l> {
    /// `line` ends with a record's JSON without its closing brace, of which `hasher` is the hash.
    pub(in crate::record) fn new(line: &'l mut Vec<u8>, mut hasher: LineHasher) -> Self {
        hasher.update(MARK);
        line.extend_from_slice(MARK);
        Self { line, hasher, before: b"" }
    }

    /// Appends a link and gives the hash of the line with it alone.
    pub(in crate::record) fn link(&mut self, link: &Link) -> Hash {
        self.line.extend_from_slice(self.before);
        let from = self.line.len();
        link.push(self.line);
        let to = self.line.len();
        self.line.extend_from_slice(END);
        let mut hasher = self.hasher.clone();
        hasher.update(self.line.get(from..).unwrap_or_default());
        self.line.truncate(to);
        self.before = b",";
        hasher.finish()
    }

    /// Ends the line, line feed included.
    pub(in crate::record) fn end(self) {
        self.line.extend_from_slice(END);
        self.line.push(b'\n');
    }
}

impl Link {
    fn push(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"tenant":""#);
        match self.tenant {
            Log::Operator => out.extend_from_slice(OPERATOR.as_bytes()),
            Log::Tenant(id) => push_guid(out, id.as_bytes()),
        }
        out.extend_from_slice(br#"","seq":"#);
        push_number(out, self.seq);
        out.extend_from_slice(br#","prev":""#);
        self.prev.push(out);
        out.extend_from_slice(br#""}"#);
    }
}

/// What stands behind the record in its line: the links and the closing brace.
fn suffix(links: &[Link]) -> Vec<u8> {
    let mut suffix = Vec::with_capacity(MARK.len() + END.len() + 160 * links.len());
    suffix.extend_from_slice(MARK);
    for (at, link) in links.iter().enumerate() {
        if at > 0 {
            suffix.push(b',');
        }
        link.push(&mut suffix);
    }
    suffix.extend_from_slice(END);
    suffix
}

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By the end of the newest file: it may be in the middle of being written.
    File,
    /// By a line feed.
    Feed,
}

/// Says that the line before it was torn by a crash: it holds nothing that anybody was promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TornNote {
    schema: String,
    /// When it was found, RFC 3339.
    pub time: String,
    /// Bytes of the torn line.
    pub bytes: u64,
    /// Its hash.
    pub hash: Hash,
}

impl TornNote {
    pub(super) const SCHEMA: &str = "steward.torn/1";

    /// The note on a line.
    #[must_use]
    pub fn on(line: &[u8], time: String) -> Self {
        Self { schema: Self::SCHEMA.to_owned(), time, bytes: line.len() as u64, hash: Hash::of(line) }
    }

    /// Whether it is the note on this line.
    #[must_use]
    pub fn is_on(&self, line: &[u8]) -> bool {
        self.bytes == line.len() as u64 && self.hash == Hash::of(line)
    }
}

impl Log {
    /// The log of the tenant that owns a target, and the caller's own one where that is another.
    pub(in crate::record) fn of(owner: Option<TenantId>, home: Option<TenantId>) -> (Self, Option<Self>) {
        match (owner, home) {
            (Some(owner), home) => (Self::Tenant(owner), home.filter(|home| *home != owner).map(Self::Tenant)),
            (None, Some(home)) => (Self::Tenant(home), None),
            (None, None) => (Self::Operator, None),
        }
    }
}

impl FromStr for Log {
    type Err = NotALog;

    fn from_str(text: &str) -> Result<Self, NotALog> {
        if text == OPERATOR {
            return Ok(Self::Operator);
        }
        text.parse().map(Self::Tenant).map_err(|_not_a_guid| NotALog { text: text.chars().take(64).collect() })
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str(OPERATOR),
            Self::Tenant(id) => fmt::Display::fmt(id, f),
        }
    }
}

impl Serialize for Log {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Log {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Vec<Link> {
        let tenant = Log::Tenant(TenantId::from_bytes([7; 16]));
        vec![Link { tenant, seq: 12, prev: Hash::of(b"a") }, Link { tenant: Log::Operator, seq: 1, prev: Hash::ZERO }]
    }

    #[test]
    fn the_line_of_a_log_holds_its_own_link_alone() {
        let head = br#"{"schema":"steward.record/1","path":"/a\",\"chain\":[]}""#;
        let line = [head.as_slice(), &suffix(&links())].concat();
        assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
        let linked = Linked::parse(&line).unwrap();
        assert_eq!(linked.links, links());
        let mut written = head.to_vec();
        let mut hasher = LineHasher::default();
        hasher.update(head);
        let mut linker = Linker::new(&mut written, hasher);
        for link in &links() {
            let own = linked.line_of(link);
            assert_eq!(linker.link(link), Hash::of(&own));
            assert_eq!(Linked::parse(&own).unwrap().links, [*link]);
        }
        linker.end();
        assert_eq!(written, [line.as_slice(), b"\n"].concat());
    }

    #[test]
    fn links_have_one_spelling() {
        let good = String::from_utf8([br#"{"id":1"#.as_slice(), &suffix(&links())].concat()).unwrap();
        assert!(Linked::parse(good.as_bytes()).is_ok());
        let changes = [
            ("\"seq\":1,", "\"seq\":0,"),
            ("\"seq\":1,", "\"seq\":18446744073709551615,"),
            ("\"seq\":1,", "\"seq\":9007199254740992,"),
            ("\"seq\":12", "\"seq\":012"),
            ("\"seq\":12", "\"seq\": 12"),
            ("0707", "0a0g"),
            ("\"seq\"", "\"sec\""),
            ("]}", "]} "),
            ("]}", "]]"),
        ];
        for (from, to) in changes {
            assert_eq!(Linked::parse(good.replace(from, to).as_bytes()), Err(LineError::Malformed), "{to}");
        }
        assert_eq!(Linked::parse(good.replace("chain", "chaim").as_bytes()), Err(LineError::Unlinked));
        assert_eq!(Linked::parse(br#"{"id":1,"chain":[]}"#), Err(LineError::Malformed));
    }
}
