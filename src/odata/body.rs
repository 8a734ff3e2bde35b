//! Bodies of requests: JSON, verbose or light, and Atom entries. Source: OData v2 JSON format; OData v3 JSON and Atom formats.

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use serde_json::{Map, Value as Json};

use super::entity::Changes;
use super::error::ODataError;
use super::model::{Column, EdmKind, EntityType, shown};
use super::value::{Value, parse_guid, parse_time};
use super::write::{DATA_NAMESPACE, METADATA_NAMESPACE};

/// Bytes of the largest body.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Reads the properties that a body gives to an entity of a type.
///
/// # Errors
/// When the media type is another, the body cannot be read, or it gives a property that is unknown, of another kind or given twice.
pub fn read(entity_type: &'static EntityType, content_type: Option<&str>, body: &[u8]) -> Result<Changes, ODataError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(ODataError::BodyTooLarge { length: body.len() });
    }
    let media_type = content_type.unwrap_or("nothing").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match &*media_type {
        "application/json" => read_json(entity_type, body),
        "application/atom+xml" | "application/xml" | "text/xml" => read_atom(entity_type, body),
        _ => Err(ODataError::UnsupportedMediaType { media_type: shown(&media_type) }),
    }
}

fn json_error(cause: &str) -> ODataError {
    ODataError::Body { form: "JSON object", cause: shown(cause) }
}

fn read_json(entity_type: &'static EntityType, body: &[u8]) -> Result<Changes, ODataError> {
    let Json::Object(mut object) = crate::json::strict(body).map_err(|cause| json_error(&cause.to_string()))? else {
        return Err(json_error("it is another kind of JSON"));
    };
    if object.len() == 1
        && let Some(Json::Object(inner)) = object.get_mut("d")
    {
        object = std::mem::take(inner);
    }
    from_object(entity_type, &object)
}

fn from_object(entity_type: &'static EntityType, object: &Map<String, Json>) -> Result<Changes, ODataError> {
    let mut changes = Changes::none(entity_type);
    for (name, json) in object {
        if name == "__metadata" || name.starts_with("odata.") || name.contains("@odata.") {
            continue;
        }
        let column = entity_type.column(name)?;
        changes.give(column, from_json(column, json)?)?;
    }
    Ok(changes)
}

fn wrong_kind(column: Column, value: &str) -> ODataError {
    ODataError::WrongKind { property: column.property.name, kind: column.property.kind.name(), value: shown(value) }
}

fn from_json(column: Column, json: &Json) -> Result<Value, ODataError> {
    let value = match (json, column.property.kind) {
        (Json::Null, _) => Some(Value::Null),
        (Json::Bool(truth), EdmKind::Boolean) => Some(Value::Boolean(*truth)),
        (Json::Number(number), EdmKind::Int32 | EdmKind::Int64) => number.as_i64().map(Value::Int64),
        (Json::String(text), EdmKind::DateTime) => verbose_time(text).or_else(|| parse_time(text, true)).map(Value::DateTime),
        // Numbers of 64 bits are texts in verbose JSON, because JavaScript would round them.
        (Json::String(text), EdmKind::Guid | EdmKind::Int64 | EdmKind::String) => from_text(column.property.kind, text),
        (_, _) => None,
    };
    value.ok_or_else(|| wrong_kind(column, &json.to_string()))
}

/// `/Date(1763712000250)/`, also with minutes of an offset, which say where it was and not when.
fn verbose_time(text: &str) -> Option<jiff::Timestamp> {
    let inside = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let digits = inside.find(['+', '-']).filter(|at| *at > 0).and_then(|at| inside.split_at_checked(at));
    let (ms, offset) = digits.unwrap_or((inside, "+0"));
    offset.parse::<i16>().ok()?;
    jiff::Timestamp::from_millisecond(ms.parse().ok()?).ok()
}

/// A value as it stands in an element of XML.
fn from_text(kind: EdmKind, text: &str) -> Option<Value> {
    match kind {
        EdmKind::Boolean => match text {
            "true" | "1" => Some(Value::Boolean(true)),
            "false" | "0" => Some(Value::Boolean(false)),
            _ => None,
        },
        EdmKind::DateTime => parse_time(text, true).map(Value::DateTime),
        EdmKind::Guid => parse_guid(text).map(Value::Guid),
        EdmKind::Int32 | EdmKind::Int64 => text.parse().ok().map(Value::Int64),
        EdmKind::String => Some(text.into()),
    }
}

fn atom_error(cause: &str) -> ODataError {
    ODataError::Body { form: "Atom entry", cause: shown(cause) }
}

/// Reads `m:properties` wherever it stands in the entry; what is around it is for feed readers.
fn read_atom(entity_type: &'static EntityType, body: &[u8]) -> Result<Changes, ODataError> {
    let text = std::str::from_utf8(body).map_err(|cause| atom_error(&cause.to_string()))?;
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut changes = Changes::none(entity_type);
    let mut found = false;
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|cause| atom_error(&cause.to_string()))?;
        let metadata = is_namespace(&namespace, METADATA_NAMESPACE);
        match event {
            Event::Start(start) if metadata && start.local_name().as_ref() == "properties" => {
                if found {
                    return Err(atom_error("it has m:properties twice"));
                }
                found = true;
                read_properties(entity_type, &mut reader, &mut changes)?;
            }
            Event::DocType(_) => return Err(atom_error("it has a document type; leave it out")),
            Event::Eof if found => return Ok(changes),
            Event::Eof => return Err(atom_error("it has no m:properties")),
            Event::Start(_)
            | Event::End(_)
            | Event::Empty(_)
            | Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::GeneralRef(_) => {}
        }
    }
}

fn is_namespace(namespace: &ResolveResult<'_>, wanted: &str) -> bool {
    matches!(namespace, ResolveResult::Bound(Namespace(name)) if *name == wanted)
}

fn read_properties(entity_type: &'static EntityType, reader: &mut NsReader<&[u8]>, changes: &mut Changes) -> Result<(), ODataError> {
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|cause| atom_error(&cause.to_string()))?;
        let data = is_namespace(&namespace, DATA_NAMESPACE);
        match event {
            Event::Start(start) => {
                if !data {
                    return Err(atom_error("m:properties holds an element of another namespace"));
                }
                let name = start.local_name().as_ref().to_owned();
                let column = entity_type.column(&name)?;
                let null = is_null(reader, &start)?;
                let text = read_text(reader)?;
                let value = if null { Some(Value::Null) } else { from_text(column.property.kind, &text) };
                changes.give(column, value.ok_or_else(|| wrong_kind(column, &text))?)?;
            }
            Event::End(_) => return Ok(()),
            Event::Text(text) if text.trim_ascii().is_empty() => {}
            Event::Comment(_) => {}
            Event::Eof => return Err(atom_error("it ends before m:properties does")),
            Event::Text(_)
            | Event::Empty(_)
            | Event::CData(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => return Err(atom_error("m:properties holds something else than elements")),
        }
    }
}

fn is_null(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<bool, ODataError> {
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|cause| atom_error(&cause.to_string()))?;
        let (namespace, name) = reader.resolver().resolve_attribute(attribute.key);
        if is_namespace(&namespace, METADATA_NAMESPACE) && name.as_ref() == "null" {
            return Ok(&*attribute.value == "true");
        }
    }
    Ok(false)
}

/// The text up to the end of the element that has just begun.
fn read_text(reader: &mut NsReader<&[u8]>) -> Result<String, ODataError> {
    let mut read = String::new();
    loop {
        match reader.read_event().map_err(|cause| atom_error(&cause.to_string()))? {
            Event::Text(text) => read.push_str(&text.xml10_content()),
            Event::CData(text) => read.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => read.push(referred(&reference)?),
            Event::Comment(_) => {}
            Event::End(_) => return Ok(read),
            Event::Eof | Event::Start(_) | Event::Empty(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {
                return Err(atom_error("a property holds something else than text"));
            }
        }
    }
}

fn referred(reference: &quick_xml::events::BytesRef<'_>) -> Result<char, ODataError> {
    if let Some(character) = reference.resolve_char_ref().map_err(|cause| atom_error(&cause.to_string()))? {
        return Ok(character);
    }
    match &**reference {
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "gt" => Ok('>'),
        "lt" => Ok('<'),
        "quot" => Ok('"'),
        _ => Err(atom_error("it refers to an entity that XML does not have of itself")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{ID, MACHINE};
    use super::*;

    const JSON: &str = "application/json;odata=verbose";
    const ATOM: &str = "application/atom+xml; type=entry";

    #[track_caller]
    fn check(content_type: &str, body: &str, expected: &[(&str, Value)]) {
        let changes = read(&MACHINE, Some(content_type), body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
        let given: Vec<_> =
            changes.columns().map(|column| (column.property.name, changes.get(column.property.name).unwrap().clone())).collect();
        assert_eq!(given, expected, "{body}");
    }

    #[track_caller]
    fn refused(content_type: &str, body: &str, code: &str, message: &str) {
        let error = read(&MACHINE, Some(content_type), body.as_bytes()).unwrap_err();
        assert_eq!(error.code(), code, "{body}: {error}");
        assert!(error.to_string().contains(message), "{body}: {error}");
    }

    fn entry(properties: &str) -> String {
        format!(
            r#"<?xml version="1.0"?><entry xmlns="http://www.w3.org/2005/Atom" xmlns:p="{DATA_NAMESPACE}" xmlns:m="{METADATA_NAMESPACE}">
            <id/><title/><content type="application/xml"><m:properties> {properties}
            </m:properties></content></entry>"#
        )
    }

    #[test]
    fn json_is_read_in_all_its_dialects() {
        let name = [("Name", Value::from("a"))];
        check(JSON, r#"{"Name":"a"}"#, &name);
        check("Application/JSON", r#"{"d":{"Name":"a"}}"#, &name);
        check(JSON, r#"{"d":{"__metadata":{"type":"Test.Machine","uri":"x"},"Name":"a"}}"#, &name);
        check("application/json", r#"{"odata.type":"Test.Machine","Name@odata.type":"Edm.String","Name":"a"}"#, &name);
        check(JSON, "{}", &[]);
    }

    #[test]
    fn json_values_have_the_kinds_of_their_properties() {
        let time = parse_time("2026-11-21T08:00:00.25", false);
        check(JSON, &format!(r#"{{"ID":"{ID}"}}"#), &[("ID", parse_guid(ID).into())]);
        check(JSON, r#"{"Cores":4,"Disk":"1099511627776"}"#, &[("Cores", 4.into()), ("Disk", (1_i64 << 40).into())]);
        check(
            JSON,
            r#"{"Disk":5,"Running":true,"Owner":null}"#,
            &[("Disk", 5_i64.into()), ("Running", true.into()), ("Owner", Value::Null)],
        );
        check(JSON, r#"{"Created":"2026-11-21T08:00:00.25"}"#, &[("Created", time.into())]);
        check(JSON, r#"{"Created":"2026-11-21T08:00:00.25Z"}"#, &[("Created", time.into())]);
        check(JSON, r#"{"Created":"\/Date(1795248000250)\/"}"#, &[("Created", time.into())]);
        check(JSON, r#"{"Created":"/Date(1795248000250+0060)/"}"#, &[("Created", time.into())]);
        check(JSON, r#"{"Created":"/Date(-1)/"}"#, &[("Created", parse_time("1969-12-31T23:59:59.999", false).into())]);
    }

    #[test]
    fn json_that_cannot_be_meant_is_refused_by_name() {
        refused(JSON, r#"{"Nmae":"a"}"#, "UnknownProperty", "did you mean `Name`?");
        refused(JSON, r#"{"Name":5}"#, "WrongKind", "`Name` is Edm.String; `5` is not");
        refused(JSON, r#"{"Name":null}"#, "NotNullable", "`Name`");
        refused(JSON, r#"{"Cores":"4"}"#, "WrongKind", "`Cores`");
        refused(JSON, r#"{"Cores":4.5}"#, "WrongKind", "`Cores`");
        refused(JSON, r#"{"Cores":4294967296}"#, "WrongKind", "`Cores` is Edm.Int32");
        refused(JSON, r#"{"Created":"/Date(x)/"}"#, "WrongKind", "`Created`");
        refused(JSON, r#"{"Owner":{"UserName":"a"}}"#, "WrongKind", "`Owner`");
        refused(JSON, r#"{"Name":"a","Name":"b"}"#, "UnreadableBody", "");
        refused(JSON, r#"[{"Name":"a"}]"#, "UnreadableBody", "another kind");
        refused(JSON, "", "UnreadableBody", "");
        refused("text/plain", "", "UnsupportedMediaType", "`text/plain`");
        assert_eq!(read(&MACHINE, None, b"{}").unwrap_err().fault(), super::super::error::Fault::UnsupportedMediaType);
        refused(JSON, &" ".repeat(BODY_BYTES_MAX + 1), "BodyTooLarge", "262144");
    }

    #[test]
    fn an_atom_entry_is_read_whatever_its_prefixes() {
        check(
            ATOM,
            &entry(
                r#"<p:Name>a &amp; &#98;<![CDATA[<c>]]></p:Name><p:Cores m:type="Edm.Int32">4</p:Cores><p:Owner m:null="true" /><!-- -->"#,
            ),
            &[("Name", "a & b<c>".into()), ("Cores", 4.into()), ("Owner", Value::Null)],
        );
        check(ATOM, &entry("<p:Name></p:Name><p:Running>false</p:Running>"), &[("Name", "".into()), ("Running", false.into())]);
        check(
            "application/xml",
            &entry("<p:Created>2026-11-21T08:00:00Z</p:Created>"),
            &[("Created", parse_time("2026-11-21T08:00", false).into())],
        );
    }

    #[test]
    fn xml_that_cannot_be_meant_is_refused() {
        refused(ATOM, &entry("<p:Nmae>a</p:Nmae>"), "UnknownProperty", "`Name`");
        refused(ATOM, &entry("<p:Cores>four</p:Cores>"), "WrongKind", "`four` is not");
        refused(ATOM, &entry("<p:Name>a</p:Name><p:Name>b</p:Name>"), "GivenTwice", "`Name`");
        refused(ATOM, &entry("<Name>a</Name>"), "UnreadableBody", "another namespace");
        refused(ATOM, &entry("<p:Name><b/></p:Name>"), "UnreadableBody", "something else than text");
        refused(ATOM, &entry("<p:Name>&file;</p:Name>"), "UnreadableBody", "an entity");
        refused(ATOM, &format!("<!DOCTYPE x [<!ENTITY a 'b'>]>{}", entry("")), "UnreadableBody", "document type");
        refused(ATOM, &entry("<p:Name>a</p:Cores>"), "UnreadableBody", "");
        refused(ATOM, "<entry/>", "UnreadableBody", "no m:properties");
        refused(ATOM, "", "UnreadableBody", "no m:properties");
        refused(ATOM, &format!("{0}{0}", entry("")), "UnreadableBody", "");
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(body in any::<Vec<u8>>(), inside in any::<String>()) {
            let _json = read(&MACHINE, Some(JSON), &body).is_ok();
            let _atom = read(&MACHINE, Some(ATOM), &body).is_ok();
            let _entry = read(&MACHINE, Some(ATOM), entry(&inside).as_bytes()).is_ok();
            let _text = read(&MACHINE, Some(JSON), inside.as_bytes()).is_ok();
        }
    }
}
