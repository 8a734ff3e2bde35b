//! Answers: feeds, entries, properties, the service document and errors, in JSON, verbose and light, and in Atom.
//! Sources: OData v2 JSON and Atom formats, OData v3 JSON light.

use serde_json::{Map, Value as Json, json};

use super::entity::Entity;
use super::format::{Format, Metadata};
use super::model::{Column, EdmKind, EntitySet, Model};
use super::query::{Page, Select};
use super::text::{push_encoded, xml};
use super::value::{Iso, Value};

/// The namespace of properties in Atom.
pub(super) const DATA_NAMESPACE: &str = "http://schemas.microsoft.com/ado/2007/08/dataservices";
/// The namespace of what Atom and EDMX do not say of themselves.
pub(super) const METADATA_NAMESPACE: &str = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata";
const ATOM_NAMESPACE: &str = "http://www.w3.org/2005/Atom";
const XML: &str = r#"<?xml version="1.0" encoding="utf-8"?>"#;

/// The media type of `/$count` and `/$value`.
pub const TEXT: &str = "text/plain;charset=utf-8";

/// A body and what its headers say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// `Content-Type`
    pub content_type: &'static str,
    /// `DataServiceVersion`
    pub version: &'static str,
    /// The body.
    pub text: String,
}

/// What stands in an Atom document of this kind.
#[derive(Clone, Copy)]
enum Document {
    Entry,
    Feed,
    Other,
}

impl Written {
    fn new(format: Format, document: Document, text: String) -> Self {
        let content_type = match (format, document) {
            (Format::Atom, Document::Entry) => "application/atom+xml;type=entry;charset=utf-8",
            (Format::Atom, Document::Feed) => "application/atom+xml;type=feed;charset=utf-8",
            (Format::Atom, Document::Other) => "application/xml;charset=utf-8",
            (Format::JsonLight(Metadata::Full), _) => "application/json;odata=fullmetadata;charset=utf-8",
            (Format::JsonLight(Metadata::Minimal), _) => "application/json;odata=minimalmetadata;charset=utf-8",
            (Format::JsonLight(Metadata::None), _) => "application/json;odata=nometadata;charset=utf-8",
            (Format::JsonVerbose, _) => "application/json;odata=verbose;charset=utf-8",
        };
        Self { content_type, version: format.version(), text }
    }
}

/// What answers about one service have in common.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The service.
    pub model: &'a Model,
    /// Its absolute address, without a slash at its end.
    pub root: &'a str,
    /// The form of the answer.
    pub format: Format,
    /// What Atom calls the time of the last change: the present time, for want of a better one.
    pub updated: jiff::Timestamp,
}

/// The absolute address of an entity, for `Location` and links.
#[must_use]
pub fn entity_url(root: &str, set: &EntitySet, entity: &Entity) -> String {
    let mut url = format!("{root}/{}", set.name);
    push_encoded(&mut url, &entity.key().to_string());
    url
}

/// A value alone, as `/$value` answers it; nothing for null.
#[must_use]
pub fn raw_value(value: &Value) -> Option<String> {
    match value {
        Value::Boolean(truth) => Some(truth.to_string()),
        Value::DateTime(time) => Some(Iso(*time).to_string()),
        Value::Guid(id) => Some(id.as_hyphenated().to_string()),
        Value::Int32(number) => Some(number.to_string()),
        Value::Int64(number) => Some(number.to_string()),
        Value::Null => None,
        Value::String(text) => Some(text.to_string()),
    }
}

/// An error. `code` is a stable word, `message` for people.
#[must_use]
pub fn error(format: Format, code: &str, message: &str) -> Written {
    let inner = json!({ "code": code, "message": { "lang": "en-US", "value": message } });
    let text = match format {
        Format::Atom => format!(
            r#"{XML}<m:error xmlns:m="{METADATA_NAMESPACE}"><m:code>{}</m:code><m:message xml:lang="en-US">{}</m:message></m:error>"#,
            xml(code),
            xml(message)
        ),
        Format::JsonLight(_) => json!({ "odata.error": inner }).to_string(),
        Format::JsonVerbose => json!({ "error": inner }).to_string(),
    };
    Written::new(format, Document::Other, text)
}

impl Writer<'_> {
    /// A page of a set.
    #[must_use]
    pub fn feed(&self, set: &EntitySet, select: &Select, page: &Page) -> Written {
        let columns = select.columns(set.entity_type);
        let next = page.next.as_ref().map(|query| format!("{}/{}?{query}", self.root, set.name));
        let text = match self.format {
            Format::Atom => self.atom_feed(set, &columns, page, next.as_deref()),
            Format::JsonLight(metadata) => self.light_feed(set, select, page, next, metadata),
            Format::JsonVerbose => {
                let results = page.entities.iter().map(|entity| self.verbose_entry(set, &columns, entity)).collect();
                let mut feed = Map::from_iter([("results".to_owned(), Json::Array(results))]);
                feed.extend(page.count.map(|count| ("__count".to_owned(), count.to_string().into())));
                feed.extend(next.map(|next| ("__next".to_owned(), next.into())));
                json!({ "d": feed }).to_string()
            }
        };
        Written::new(self.format, Document::Feed, text)
    }

    /// One entity.
    #[must_use]
    pub fn entry(&self, set: &EntitySet, select: &Select, entity: &Entity) -> Written {
        let columns = select.columns(set.entity_type);
        let text = match self.format {
            Format::Atom => format!("{XML}{}", self.atom_entry(set, &columns, entity, &self.namespaces())),
            Format::JsonLight(metadata) => {
                let mut entry = self.light_head(set, select, "/@Element", metadata);
                entry.extend(self.light_entry(set, &columns, entity, metadata));
                Json::Object(entry).to_string()
            }
            Format::JsonVerbose => json!({ "d": self.verbose_entry(set, &columns, entity) }).to_string(),
        };
        Written::new(self.format, Document::Entry, text)
    }

    /// One property of an entity.
    #[must_use]
    pub fn property(&self, column: Column, entity: &Entity) -> Written {
        let name = column.property.name;
        let value = entity.at(column);
        let text = match self.format {
            Format::Atom => {
                let namespaces = format!(r#" xmlns:d="{DATA_NAMESPACE}" xmlns:m="{METADATA_NAMESPACE}""#);
                format!("{XML}{}", atom_property(column, value, &namespaces))
            }
            Format::JsonLight(Metadata::None) => json!({ "value": light_value(value) }).to_string(),
            Format::JsonLight(Metadata::Full | Metadata::Minimal) => {
                let url = format!("{}/$metadata#{}", self.root, column.property.kind.name());
                json!({ "odata.metadata": url, "value": light_value(value) }).to_string()
            }
            Format::JsonVerbose => json!({ "d": { name: verbose_value(value) } }).to_string(),
        };
        Written::new(self.format, Document::Other, text)
    }

    /// The list of all sets.
    #[must_use]
    pub fn service_document(&self) -> Written {
        let names = self.model.sets.iter().map(|set| set.name);
        let light = || names.clone().map(|name| json!({ "name": name, "url": name })).collect::<Json>();
        let text = match self.format {
            Format::Atom => {
                let sets: String =
                    names.map(|name| format!(r#"<collection href="{name}"><atom:title>{name}</atom:title></collection>"#)).collect();
                format!(
                    r#"{XML}<service xml:base="{}/" xmlns="http://www.w3.org/2007/app" xmlns:atom="{ATOM_NAMESPACE}"><workspace><atom:title>Default</atom:title>{sets}</workspace></service>"#,
                    xml(self.root)
                )
            }
            Format::JsonLight(Metadata::None) => json!({ "value": light() }).to_string(),
            Format::JsonLight(Metadata::Full | Metadata::Minimal) => {
                json!({ "odata.metadata": format!("{}/$metadata", self.root), "value": light() }).to_string()
            }
            Format::JsonVerbose => json!({ "d": { "EntitySets": names.collect::<Json>() } }).to_string(),
        };
        Written::new(self.format, Document::Other, text)
    }

    fn type_name(&self, set: &EntitySet) -> String {
        format!("{}.{}", self.model.namespace, set.entity_type.name)
    }

    fn verbose_entry(&self, set: &EntitySet, columns: &[Column], entity: &Entity) -> Json {
        let url = entity_url(self.root, set, entity);
        let head = json!({ "id": url, "uri": url, "type": self.type_name(set) });
        let values = columns.iter().map(|column| (column.property.name.to_owned(), verbose_value(entity.at(*column))));
        std::iter::once(("__metadata".to_owned(), head)).chain(values).collect()
    }

    fn light_feed(&self, set: &EntitySet, select: &Select, page: &Page, next: Option<String>, metadata: Metadata) -> String {
        let columns = select.columns(set.entity_type);
        let mut feed = self.light_head(set, select, "", metadata);
        feed.extend(page.count.map(|count| ("odata.count".to_owned(), count.to_string().into())));
        let values = page.entities.iter().map(|entity| Json::Object(self.light_entry(set, &columns, entity, metadata))).collect();
        feed.extend([("value".to_owned(), Json::Array(values))]);
        feed.extend(next.map(|next| ("odata.nextLink".to_owned(), next.into())));
        Json::Object(feed).to_string()
    }

    fn light_head(&self, set: &EntitySet, select: &Select, element: &str, metadata: Metadata) -> Map<String, Json> {
        if metadata == Metadata::None {
            return Map::new();
        }
        let select = select.names().map(|names| format!("&$select={names}")).unwrap_or_default();
        let url = format!("{}/$metadata#{}{element}{select}", self.root, set.name);
        Map::from_iter([("odata.metadata".to_owned(), url.into())])
    }

    fn light_entry(&self, set: &EntitySet, columns: &[Column], entity: &Entity, metadata: Metadata) -> Map<String, Json> {
        let mut entry = Map::new();
        let full = metadata == Metadata::Full;
        if full {
            let url = Json::from(entity_url(self.root, set, entity));
            entry.extend([
                ("odata.type".to_owned(), self.type_name(set).into()),
                ("odata.id".to_owned(), url.clone()),
                ("odata.editLink".to_owned(), url),
            ]);
        }
        for column in columns {
            let (name, kind) = (column.property.name, column.property.kind);
            if full && !matches!(kind, EdmKind::Boolean | EdmKind::Int32 | EdmKind::String) {
                entry.insert(format!("{name}@odata.type"), kind.name().into());
            }
            entry.insert(name.to_owned(), light_value(entity.at(*column)));
        }
        entry
    }

    fn namespaces(&self) -> String {
        format!(r#" xml:base="{}/" xmlns="{ATOM_NAMESPACE}" xmlns:d="{DATA_NAMESPACE}" xmlns:m="{METADATA_NAMESPACE}""#, xml(self.root))
    }

    fn atom_feed(&self, set: &EntitySet, columns: &[Column], page: &Page, next: Option<&str>) -> String {
        let name = set.name;
        let count = page.count.map(|count| format!("<m:count>{count}</m:count>")).unwrap_or_default();
        let entries: String = page.entities.iter().map(|entity| self.atom_entry(set, columns, entity, "")).collect();
        let next = next.map(|next| format!(r#"<link rel="next" href="{}"/>"#, xml(next))).unwrap_or_default();
        format!(
            r#"{XML}<feed{}>{count}<id>{}/{name}</id><title type="text">{name}</title><updated>{}Z</updated><link rel="self" title="{name}" href="{name}"/>{entries}{next}</feed>"#,
            self.namespaces(),
            xml(self.root),
            Iso(self.updated)
        )
    }

    fn atom_entry(&self, set: &EntitySet, columns: &[Column], entity: &Entity, namespaces: &str) -> String {
        let url = entity_url(self.root, set, entity);
        let relative = url.strip_prefix(self.root).unwrap_or(&url).trim_start_matches('/');
        let properties: String = columns.iter().map(|column| atom_property(*column, entity.at(*column), "")).collect();
        format!(
            r#"<entry{namespaces}><id>{}</id><category term="{}" scheme="{DATA_NAMESPACE}/scheme"/><link rel="edit" title="{}" href="{}"/><title/><updated>{}Z</updated><author><name/></author><content type="application/xml"><m:properties>{properties}</m:properties></content></entry>"#,
            xml(&url),
            self.type_name(set),
            set.entity_type.name,
            xml(relative),
            Iso(self.updated)
        )
    }
}

fn atom_property(column: Column, value: &Value, namespaces: &str) -> String {
    let (name, kind) = (column.property.name, column.property.kind);
    let type_name = if kind == EdmKind::String { String::new() } else { format!(r#" m:type="{}""#, kind.name()) };
    match raw_value(value) {
        None => format!(r#"<d:{name}{namespaces}{type_name} m:null="true"/>"#),
        Some(text) => format!("<d:{name}{namespaces}{type_name}>{}</d:{name}>", xml(&text)),
    }
}

/// Times are counted in milliseconds, and numbers of 64 bits are texts.
fn verbose_value(value: &Value) -> Json {
    match value {
        Value::DateTime(time) => format!("/Date({})/", time.as_millisecond()).into(),
        Value::Boolean(_) | Value::Guid(_) | Value::Int32(_) | Value::Int64(_) | Value::Null | Value::String(_) => light_value(value),
    }
}

fn light_value(value: &Value) -> Json {
    match value {
        Value::Boolean(truth) => (*truth).into(),
        Value::Int32(number) => (*number).into(),
        Value::DateTime(_) | Value::Guid(_) | Value::Int64(_) | Value::Null | Value::String(_) => raw_value(value).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ID, MACHINE, MODEL, STAMP, machine};
    use super::super::{body, path, query};
    use super::*;

    const ROOT: &str = "https://spf.example:8090/SC2012R2/VMM/Microsoft.Management.Odata.svc";

    fn writer(format: Format) -> Writer<'static> {
        Writer { model: &MODEL, root: ROOT, format, updated: "2026-11-21T08:00:00Z".parse().unwrap() }
    }

    fn set() -> &'static EntitySet {
        MODEL.set("Machines").unwrap()
    }

    fn select(names: &str) -> Select {
        let machines = path::parse(&MODEL, "Machines").unwrap();
        query::parse(&machines, &format!("$select={names}")).unwrap().select
    }

    fn page() -> Page {
        Page { entities: vec![machine()], count: Some(7), next: Some("$skiptoken=1&$top=2".to_owned()) }
    }

    fn parsed(written: &Written) -> Json {
        serde_json::from_str(&written.text).unwrap()
    }

    fn url() -> String {
        format!("{ROOT}/Machines(ID=guid'{ID}',StampId=guid'{STAMP}')")
    }

    #[test]
    fn verbose_json_is_what_version_2_reads() {
        let writer = writer(Format::JsonVerbose);
        let entry = json!({
            "__metadata": { "id": url(), "uri": url(), "type": "Test.Machine" },
            "ID": ID, "StampId": STAMP, "Name": "It's web-1", "Cores": 4, "Disk": "1099511627776", "Running": true,
            "Created": "/Date(1795248000250)/", "Owner": null,
        });
        let written = writer.entry(set(), &Select::default(), &machine());
        assert_eq!((written.content_type, written.version), ("application/json;odata=verbose;charset=utf-8", "2.0;"));
        assert_eq!(parsed(&written), json!({ "d": entry }));
        let next = format!("{ROOT}/Machines?$skiptoken=1&$top=2");
        assert_eq!(
            parsed(&writer.feed(set(), &Select::default(), &page())),
            json!({ "d": { "results": [entry], "__count": "7", "__next": next } })
        );
        assert_eq!(parsed(&writer.property(MACHINE.column("Disk").unwrap(), &machine())), json!({ "d": { "Disk": "1099511627776" } }));
        assert_eq!(
            parsed(&writer.service_document()),
            json!({ "d": { "EntitySets": ["Machines", "Events", "Labels", "Stamps", "OldMachines"] } })
        );
    }

    #[test]
    fn light_json_says_as_much_about_itself_as_was_asked_for() {
        let chosen = select("Created,Cores");
        let of = |metadata| parsed(&writer(Format::JsonLight(metadata)).entry(set(), &chosen, &machine()));
        let head = format!("{ROOT}/$metadata#Machines/@Element&$select=Created,Cores");
        assert_eq!(of(Metadata::None), json!({ "Cores": 4, "Created": "2026-11-21T08:00:00.25" }));
        assert_eq!(of(Metadata::Minimal), json!({ "odata.metadata": head, "Cores": 4, "Created": "2026-11-21T08:00:00.25" }));
        assert_eq!(
            of(Metadata::Full),
            json!({ "odata.metadata": head, "odata.type": "Test.Machine", "odata.id": url(), "odata.editLink": url(), "Cores": 4,
                "Created@odata.type": "Edm.DateTime", "Created": "2026-11-21T08:00:00.25" })
        );
        let writer = writer(Format::JsonLight(Metadata::Minimal));
        let feed = writer.feed(set(), &select("Name"), &page());
        assert_eq!((feed.content_type, feed.version), ("application/json;odata=minimalmetadata;charset=utf-8", "3.0;"));
        assert_eq!(
            parsed(&feed),
            json!({ "odata.metadata": format!("{ROOT}/$metadata#Machines&$select=Name"), "odata.count": "7",
                "value": [{ "Name": "It's web-1" }], "odata.nextLink": format!("{ROOT}/Machines?$skiptoken=1&$top=2") })
        );
        let owner = writer.property(MACHINE.column("Owner").unwrap(), &machine());
        assert_eq!(parsed(&owner), json!({ "odata.metadata": format!("{ROOT}/$metadata#Edm.String"), "value": null }));
        assert_eq!(parsed(&writer.service_document())["value"][1], json!({ "name": "Events", "url": "Events" }));
    }

    #[test]
    fn an_atom_entry_can_be_read_back() {
        let written = writer(Format::Atom).entry(set(), &Select::default(), &machine());
        assert_eq!(written.content_type, "application/atom+xml;type=entry;charset=utf-8");
        let changes = body::read(&MACHINE, Some(written.content_type), written.text.as_bytes()).unwrap();
        assert_eq!(changes.create(), machine());
        assert!(written.text.contains(r#"<d:Owner m:null="true"/>"#), "{}", written.text);
        assert!(written.text.contains(r#"<link rel="edit" title="Machine" href="Machines(ID=guid&#39;"#), "{}", written.text);
    }

    #[test]
    fn an_atom_feed_has_its_count_and_its_next_page() {
        let written = writer(Format::Atom).feed(set(), &select("Name"), &page());
        assert!(written.text.contains("<m:count>7</m:count>"), "{}", written.text);
        assert!(written.text.contains(r#"/Machines?$skiptoken=1&amp;$top=2"/></feed>"#), "{}", written.text);
        assert_eq!(written.text.matches("<entry>").count(), 1);
    }

    #[test]
    fn json_can_be_read_back_and_no_text_leaves_its_place() {
        let hostile = "</d:Name><a b=\"'&\u{0}\u{1b}\u{2028}\n";
        let entity = Entity::new(&MACHINE, [("Name", hostile.into())]).unwrap();
        for format in [Format::JsonVerbose, Format::JsonLight(Metadata::Full)] {
            let written = writer(format).entry(set(), &Select::default(), &entity);
            assert_eq!(body::read(&MACHINE, Some(written.content_type), written.text.as_bytes()).unwrap().create(), entity, "{format:?}");
        }
        let written = writer(Format::Atom).entry(set(), &Select::default(), &entity);
        let read = body::read(&MACHINE, Some(written.content_type), written.text.as_bytes()).unwrap();
        assert_eq!(read.get("Name"), Some(&Value::from(hostile.replace(['\u{0}', '\u{1b}'], "\u{fffd}"))));
    }

    #[test]
    fn a_key_in_an_address_is_encoded() {
        let labels = MODEL.set("Labels").unwrap();
        let label = Entity::new(labels.entity_type, [("Name", "a/b c'd&e".into())]).unwrap();
        let address = entity_url(ROOT, labels, &label);
        assert_eq!(address, format!("{ROOT}/Labels('a%2Fb%20c''d%26e')"));
        let read = path::parse(&MODEL, address.strip_prefix(ROOT).unwrap()).unwrap();
        assert_eq!(read, path::Resource::Entity(labels, label.key()));
    }

    #[test]
    fn an_error_has_the_form_of_the_answer() {
        let inner = json!({ "code": "X", "message": { "lang": "en-US", "value": "a<b" } });
        assert_eq!(parsed(&error(Format::JsonVerbose, "X", "a<b")), json!({ "error": inner }));
        assert_eq!(parsed(&error(Format::JsonLight(Metadata::None), "X", "a<b")), json!({ "odata.error": inner }));
        let atom = error(Format::Atom, "X", "a<b");
        assert!(atom.text.ends_with(r#"<m:code>X</m:code><m:message xml:lang="en-US">a&lt;b</m:message></m:error>"#), "{}", atom.text);
        assert_eq!(atom.content_type, "application/xml;charset=utf-8");
    }

    #[test]
    fn a_raw_value_is_plain_text() {
        let raw = |name: &str| raw_value(machine().get(name));
        assert_eq!(raw("Name").as_deref(), Some("It's web-1"));
        assert_eq!(raw("Disk").as_deref(), Some("1099511627776"));
        assert_eq!(raw("Owner"), None);
    }
}
