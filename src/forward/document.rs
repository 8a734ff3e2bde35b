//! A JSON document of the backend, said again in one pass: what stands in it is neither taken apart nor said in another way, but for links and for
//! what is left out.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::links::{Link, Origins, is_called, is_followed, is_page_link, is_word};
use crate::arm::links;
use crate::arm::scope::{Anchor, Scope};
use crate::pipeline::Reading;

/// Links of one document: more are not said again one by one.
const LINKS_MAX: usize = 16;
/// The mark of the order of bytes, which clients pass over.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// It is no document that every reader reads alike, or not the list that it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoDocument;

/// What becomes of a document.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) body: Bytes,
    /// Whether it is not what the backend said.
    pub(super) is_changed: bool,
    /// Where clients are sent to, with our origin.
    pub(super) links: Vec<String>,
    /// How many links were taken out.
    pub(super) removed: usize,
}

/// Whether not all of it is for the caller.
pub(super) const fn is_cut_down(reading: &Reading) -> bool {
    matches!(reading, Reading::Only(_) | Reading::Within { .. })
}

/// Rewrites the links of an answer and leaves out what the caller may not read.
///
/// # Errors
/// When it is not one value of JSON without a mistake, has too many links, or has to be cut down and is no list.
pub(super) fn say(bytes: Bytes, origins: &Origins<'_>, reading: &Reading) -> Result<Said, NoDocument> {
    let is_cut_down = is_cut_down(reading);
    let is_marked = bytes.starts_with(MARK);
    let bytes = if is_marked { bytes.slice(MARK.len()..) } else { bytes };
    let as_it_is = |body| Said { body, is_changed: is_marked, links: Vec::new(), removed: 0 };
    if bytes.is_empty() && !is_cut_down {
        return Ok(as_it_is(bytes));
    }
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        // Some lists are bare arrays without links; they pass only where nothing has to be left out.
        let is_value = serde_json::from_slice::<&RawValue>(&bytes).is_ok();
        return if is_value && !is_cut_down { Ok(as_it_is(bytes)) } else { Err(NoDocument) };
    }
    let mut writer =
        Writer { origins, reading, out: Vec::with_capacity(bytes.len()), links: Vec::new(), removed: 0, is_changed: is_cut_down };
    writer.object(&bytes, if is_cut_down { Level::List } else { Level::Top })?;
    let Writer { out, links, removed, is_changed, .. } = writer;
    // No larger than what is in it: that is what counts while it waits for its client.
    let body = if is_changed { out.into_boxed_slice().into() } else { bytes };
    Ok(Said { body, is_changed: is_changed || is_marked, links, removed })
}

/// Where in a document an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// It is a list that is cut down: counts, facets and whatever else stands beside the things would tell of those that are left out.
    List,
    /// It is the document.
    Top,
    /// It is what a document of the resource manager has its own members in.
    Properties,
}

struct Writer<'w> {
    origins: &'w Origins<'w>,
    reading: &'w Reading,
    out: Vec<u8>,
    links: Vec<String>,
    removed: usize,
    is_changed: bool,
}

impl Writer<'_> {
    fn object(&mut self, text: &[u8], level: Level) -> Result<(), NoDocument> {
        let mut reader = serde_json::Deserializer::from_slice(text);
        reader.deserialize_map(Members { writer: self, level }).and_then(|()| reader.end()).map_err(|_no_json| NoDocument)
    }

    /// The things of a list that are for the caller.
    fn items(&mut self, text: &RawValue) -> Result<(), serde_json::Error> {
        self.out.push(b'[');
        let mut reader = serde_json::Deserializer::from_str(text.get());
        reader.deserialize_seq(Items { writer: self })?;
        self.out.push(b']');
        Ok(())
    }

    fn member(&mut self, name: &str, value: &RawValue, level: Level) -> Result<(), serde_json::Error> {
        if is_followed(name) && (level != Level::List || is_page_link(name)) {
            return self.link(name, value);
        }
        match level {
            Level::List if name == "value" => {
                self.name(name)?;
                self.items(value)
            }
            Level::List => Ok(()),
            Level::Top if value.get().starts_with('{') && is_called(name, "properties") => {
                self.name(name)?;
                self.object(value.get().as_bytes(), Level::Properties).map_err(|NoDocument| serde_json::Error::custom("no object"))
            }
            Level::Top | Level::Properties => {
                self.name(name)?;
                self.out.extend_from_slice(value.get().as_bytes());
                Ok(())
            }
        }
    }

    fn link(&mut self, name: &str, value: &RawValue) -> Result<(), serde_json::Error> {
        let link = match serde_json::from_str::<Option<String>>(value.get()) {
            Ok(None) => None,
            Ok(Some(word)) if is_word(&word) && !is_page_link(name) => None,
            Ok(Some(url)) => Some((self.origins.classify(&url), url)),
            Err(_no_text) => Some((Link::Foreign, String::new())),
        };
        match link {
            None => {
                self.name(name)?;
                self.out.extend_from_slice(value.get().as_bytes());
            }
            Some((Link::Ours(ours), url)) => {
                self.name(name)?;
                serde_json::to_writer(&mut self.out, &ours)?;
                self.is_changed |= ours != url;
                self.links.push(ours);
            }
            Some((Link::Foreign | Link::Unclear, _)) => {
                self.is_changed = true;
                self.removed += 1;
            }
        }
        if self.links.len() + self.removed > LINKS_MAX { Err(serde_json::Error::custom("too many links")) } else { Ok(()) }
    }

    /// Begins a member.
    fn name(&mut self, name: &str) -> Result<(), serde_json::Error> {
        self.separate(b'{');
        serde_json::to_writer(&mut self.out, name)?;
        self.out.push(b':');
        Ok(())
    }

    /// What stands between this and what came before it, if anything did since this was opened.
    fn separate(&mut self, opened: u8) {
        if self.out.last() != Some(&opened) {
            self.out.push(b',');
        }
    }
}

/// The members of an object, one after another. One that stands twice is written twice: whichever a client reads was looked at.
struct Members<'m, 'w> {
    writer: &'m mut Writer<'w>,
    level: Level,
}

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.writer.out.push(b'{');
        let mut lists = 0;
        while let Some(Name(name)) = members.next_key()? {
            lists += usize::from(name == "value");
            self.writer.member(&name, members.next_value()?, self.level).map_err(A::Error::custom)?;
        }
        self.writer.out.push(b'}');
        if self.level == Level::List && lists != 1 { Err(A::Error::custom("one list is needed")) } else { Ok(()) }
    }
}

/// The things of a list, one after another.
struct Items<'m, 'w> {
    writer: &'m mut Writer<'w>,
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            if is_shown(item.get(), self.writer.reading) {
                self.writer.separate(b'[');
                self.writer.out.extend_from_slice(item.get().as_bytes());
            }
        }
        Ok(())
    }
}

/// The name of a member, not copied unless something in it is escaped.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

/// Whether a thing of a list is for the caller.
fn is_shown(item: &str, reading: &Reading) -> bool {
    match reading {
        Reading::Begun | Reading::Links | Reading::Unread => true,
        Reading::Only(scopes) => scope_of(item).is_some_and(|scope| scopes.iter().any(|granted| granted.covers(&scope))),
        Reading::Within { tenant, directory } => {
            let named = links::in_json(item.as_bytes(), &Scope::whole(Anchor::Tenant));
            named.is_ok_and(|places| places.iter().all(|place| directory.owner(place) == Some(*tenant)))
        }
    }
}

/// Where a thing says that it is; of one that says so twice nobody knows.
fn scope_of(item: &str) -> Option<Scope> {
    let id = serde_json::Deserializer::from_str(item).deserialize_map(Id).ok()??;
    Scope::parse(&id).ok()
}

struct Id;

impl<'de> Visitor<'de> for Id {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut id = None;
        while let Some(Name(name)) = members.next_key()? {
            if name != "id" {
                members.next_value::<IgnoredAny>()?;
            } else if id.replace(members.next_value::<Name<'_>>()?.0).is_some() {
                return Err(A::Error::custom("more than one id"));
            }
        }
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const HOME: &str = "https://gateway/subscriptions/x";

    fn said(text: &str, reading: &Reading) -> Result<(String, bool, Vec<String>, usize), NoDocument> {
        let said = say(text.to_owned().into(), &Origins::of("http://backend", "gateway"), reading);
        said.map(|said| (String::from_utf8(said.body.to_vec()).unwrap(), said.is_changed, said.links, said.removed))
    }

    #[track_caller]
    fn check(text: &str, expected: &str, links: usize, removed: usize) {
        let (body, is_changed, led, gone) = said(text, &Reading::Links).unwrap();
        assert_eq!((&*body, is_changed, led.len(), gone), (expected, expected != text, links, removed));
        assert!(led.iter().all(|link| link.starts_with("https://gateway/")));
    }

    #[test]
    fn a_document_without_links_stays_as_it_is() {
        for text in [
            r#"{ "value" : [ -0, 1E5, 12345678901234567890123, 1e999, "\ud800" ], "a":{"nextLink":"https://evil"} }"#,
            r#"{"nextLink":null,"value":[],"resourceLocation":"west europe"}"#,
            r#"{"nextLink":"https://gateway/subscriptions/x"}"#,
            "[{\"nextLink\":\"https://evil\"}]",
            "\"text\"",
            "",
            " {}\n",
        ] {
            check(text, text, usize::from(text.contains(HOME)), 0);
        }
        let deep = format!("{{\"value\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        check(&deep, &deep, 0, 0);
    }

    #[test]
    fn links_lead_to_the_gateway_or_are_left_out_and_the_rest_is_not_said_in_another_way() {
        let ours = r#"{"nextLink":"http://backend/subscriptions/x","value":[ 1E5, -0 ]}"#;
        check(ours, r#"{"nextLink":"https://gateway/subscriptions/x","value":[ 1E5, -0 ]}"#, 1, 0);
        check(r#"{"value":[1],"nextLink":"https://evil"}"#, r#"{"value":[1]}"#, 0, 1);
        check(r#"{"nextLink":"https://evil","a":"","b":{}}"#, r#"{"a":"","b":{}}"#, 0, 1);
        check(r#"{"nextLink":"https://evil"}"#, "{}", 0, 1);
        check(r#"{"next\u004cink":["https://evil"],"\u0061":1}"#, r#"{"a":1}"#, 0, 1);
        check(r#"{"NEXTLINK":"\ud800","nextLink":null}"#, r#"{"nextLink":null}"#, 0, 1);
        check(r#"{"resourceLocation":"https://evil/x","location":"https://evil"}"#, r#"{"location":"https://evil"}"#, 0, 1);
        check("\u{feff}{\"nextLink\":\"http://evil\"}", "{}", 0, 1);
        check("\u{feff}{}", "{}", 0, 0);
        check("\u{feff}[]", "[]", 0, 0);
    }

    #[test]
    fn a_link_that_stands_twice_is_looked_at_twice() {
        check(
            r#"{"nextLink":"/subscriptions/x","nextLink":"https://evil","NextLink":"/subscriptions/x"}"#,
            r#"{"nextLink":"https://gateway/subscriptions/x","NextLink":"https://gateway/subscriptions/x"}"#,
            2,
            1,
        );
        let many = |links: usize| format!("{{{}\"a\":1}}", "\"nextLink\":\"/subscriptions/x\",".repeat(links));
        assert_eq!(said(&many(LINKS_MAX), &Reading::Links).unwrap().2.len(), LINKS_MAX);
        assert_eq!(said(&many(LINKS_MAX + 1), &Reading::Links), Err(NoDocument));
        assert_eq!(said(&many(LINKS_MAX + 1).replace("/subscriptions/x", "//x"), &Reading::Links), Err(NoDocument));
    }

    #[test]
    fn properties_may_lead_on_and_what_stands_deeper_does_not() {
        check(
            r#"{"id":"x","Properties":{"a":[],"nextLink":"https://evil","b":{"nextLink":"https://evil"}},"z":1}"#,
            r#"{"id":"x","Properties":{"a":[],"b":{"nextLink":"https://evil"}},"z":1}"#,
            0,
            1,
        );
        check(
            r#"{"properties":{"nextLink":"http://backend/subscriptions/x"}}"#,
            r#"{"properties":{"nextLink":"https://gateway/subscriptions/x"}}"#,
            1,
            0,
        );
        for text in [r#"{"properties":{"properties":{"nextLink":"https://evil"}}}"#, r#"{"properties":["nextLink"]}"#] {
            check(text, text, 0, 0);
        }
    }

    #[test]
    fn what_is_not_one_document_is_none() {
        for text in ["{", "{}{}", "{'a':1}", r#"{"a":NaN}"#, "nothing", r#"{"\ud800":1}"#, r#"{"properties":{"a":1,}}"#, "\u{c}{}"] {
            assert_eq!(said(text, &Reading::Links), Err(NoDocument), "{text}");
        }
        let reading = Reading::Links;
        assert!(say(Bytes::from_static(b"{\"a\":\"\xff\"}"), &Origins::of("", ""), &reading).is_err());
    }

    #[test]
    fn a_list_that_is_cut_down_is_what_the_caller_may_read_and_nothing_else() {
        let granted = "/subscriptions/11111111-1111-4111-8111-111111111111";
        let only = Reading::Only(Arc::new([Scope::parse(granted).unwrap()]));
        let cut = |text: &str| said(text, &only).map(|(body, is_changed, ..)| (body, is_changed));
        let item = |name: &str| format!(r#"{{"id" : "{granted}/resourceGroups/{name}", "n":1E5}}"#);
        let (a, b) = (item("a"), item("b"));
        let foreign = a.replace('1', "2");
        let list = format!(
            r#"{{"count":3,"value":[ {foreign},{a},"{granted}",[{a}],{{"id":null}},{{"id":"{granted}","id":"{granted}"}},{{"ID":"{granted}"}},{b},{foreign}],"nextLink":"/subscriptions/x","resourceLocation":"/x"}}"#
        );
        let expected = format!(r#"{{"value":[{a},{b}],"nextLink":"https://gateway/subscriptions/x"}}"#);
        assert_eq!(cut(&list), Ok((expected, true)));
        let body = say(format!("{{\"value\":[{}0]}}", "0,".repeat(10_000)).into(), &Origins::of("", ""), &only).unwrap().body;
        assert_eq!((body.len(), Vec::from(body).capacity()), (12, 12), "what was left out is not held");
        assert_eq!(cut(r#"{"value":[],"properties":{"nextLink":"/x"}}"#), Ok((r#"{"value":[]}"#.to_owned(), true)));
        for text in ["", "[]", "{}", r#"{"value":{}}"#, r#"{"value":[],"value":[]}"#, r#"{"Value":[]}"#, r#"{"value":[1,]}"#] {
            assert_eq!(cut(text), Err(NoDocument), "{text}");
        }
    }
}
