//! What a path leads to. Source: OData v3 URL conventions §4.

use super::error::ODataError;
use super::literal::Cursor;
use super::model::{Column, EntitySet, EntityType, Model, shown};
use super::text;
use super::value::Value;

/// Bytes of the longest path after the root.
pub const PATH_BYTES_MAX: usize = 4 * 1024;

/// Segments of the deepest path after the root: set with key, property, `$value`.
pub const SEGMENTS_MAX: usize = 3;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// How many entities are in a set: `/Jobs/$count`.
    Count(&'static EntitySet),
    /// One entity: `/Jobs(ID=guid'…',StampId=guid'…')`.
    Entity(&'static EntitySet, Key),
    /// `/$metadata`
    Metadata,
    /// A property of an entity: `/Jobs(…)/Name`.
    Property(&'static EntitySet, Key, Column),
    /// Its value alone, as text: `/Jobs(…)/Name/$value`.
    PropertyValue(&'static EntitySet, Key, Column),
    /// The list of all sets: `/` or nothing.
    ServiceDocument,
    /// A set: `/Jobs` or `/Jobs()`.
    Set(&'static EntitySet),
}

impl Resource {
    /// The set that is asked for, or that the entity asked for is in.
    #[must_use]
    pub const fn set(&self) -> Option<&'static EntitySet> {
        match self {
            Self::Count(set) | Self::Entity(set, _) | Self::Property(set, ..) | Self::PropertyValue(set, ..) | Self::Set(set) => Some(set),
            Self::Metadata | Self::ServiceDocument => None,
        }
    }
}

/// The key of an entity: a value that is not null for each property of the key, in the order of the type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    entity_type: &'static EntityType,
    values: Vec<Value>,
}

impl Key {
    pub(super) fn of(entity_type: &'static EntityType, values: &[Value]) -> Self {
        Self { entity_type, values: values.iter().take(entity_type.key.len()).cloned().collect() }
    }

    /// The value of a property of the key.
    #[must_use]
    pub fn get(&self, property: &str) -> Option<&Value> {
        let at = self.entity_type.key.iter().position(|part| part.name == property)?;
        self.values.get(at)
    }

    /// All values, in the order of the type's key.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }
}

/// `(5)` or `(ID=guid'…',StampId=guid'…')`, not yet percent-encoded.
impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let [value] = &*self.values {
            return write!(f, "({value})");
        }
        let parts: Vec<_> = self.entity_type.key.iter().zip(&self.values).map(|(part, value)| format!("{}={value}", part.name)).collect();
        write!(f, "({})", parts.join(","))
    }
}

/// Reads the path after the root of the service, as it was sent, with or without a slash in front.
///
/// # Errors
/// When it leads to nothing, or could be read in two ways.
pub fn parse(model: &Model, path: &str) -> Result<Resource, ODataError> {
    if path.len() > PATH_BYTES_MAX {
        return Err(ODataError::PathTooLong);
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Resource::ServiceDocument);
    }
    let segments: Vec<String> = path.split('/').take(SEGMENTS_MAX + 1).map(text::decode_segment).collect::<Result<_, _>>()?;
    match &*segments {
        [first] => root(model, first),
        [first, second] => under(root(model, first)?, second),
        [first, second, third] => value_of(under(root(model, first)?, second)?, third),
        _ => Err(ODataError::PathTooLong),
    }
}

fn nothing_at(segment: &str, expected: &'static str) -> ODataError {
    ODataError::Segment { segment: shown(segment), expected }
}

fn root(model: &Model, segment: &str) -> Result<Resource, ODataError> {
    match segment {
        "$metadata" => return Ok(Resource::Metadata),
        "" => return Err(nothing_at("//", "leave the empty segment out")),
        system if system.starts_with('$') => return Err(ODataError::NotOffered { what: shown(system) }),
        _ => {}
    }
    let Some((name, key)) = segment.split_once('(') else {
        return model.set(segment).map(Resource::Set);
    };
    let set = model.set(name)?;
    let Some(key) = key.strip_suffix(')') else {
        return Err(nothing_at(segment, "a key ends with `)`"));
    };
    if key.is_empty() {
        return Ok(Resource::Set(set));
    }
    Ok(Resource::Entity(set, read_key(set, key)?))
}

fn under(parent: Resource, segment: &str) -> Result<Resource, ODataError> {
    match parent {
        Resource::Set(set) if segment == "$count" => Ok(Resource::Count(set)),
        Resource::Entity(..) if segment == "$links" => Err(ODataError::NotOffered { what: shown(segment) }),
        Resource::Entity(set, key) => {
            if segment.is_empty() || segment.starts_with('$') {
                return Err(nothing_at(segment, "name a property of the entity"));
            }
            let column = set.entity_type.column(segment).map_err(|_cause| nothing_at(segment, "the entity has no such property"))?;
            Ok(Resource::Property(set, key, column))
        }
        Resource::Count(_)
        | Resource::Metadata
        | Resource::Property(..)
        | Resource::PropertyValue(..)
        | Resource::ServiceDocument
        | Resource::Set(_) => Err(nothing_at(segment, "only `$count` is under a set, and nothing under `$metadata`")),
    }
}

fn value_of(parent: Resource, segment: &str) -> Result<Resource, ODataError> {
    match parent {
        Resource::Property(set, key, column) if segment == "$value" => Ok(Resource::PropertyValue(set, key, column)),
        Resource::Count(_)
        | Resource::Entity(..)
        | Resource::Metadata
        | Resource::Property(..)
        | Resource::PropertyValue(..)
        | Resource::ServiceDocument
        | Resource::Set(_) => Err(nothing_at(segment, "only `$value` is under a property")),
    }
}

/// Reads what stands between the parentheses: `5`, or each property of the key once, in any order.
fn read_key(set: &'static EntitySet, text: &str) -> Result<Key, ODataError> {
    let entity_type = set.entity_type;
    let mut given: Vec<Option<Value>> = vec![None; entity_type.key.len()];
    let mut cursor = Cursor::new("key", text);
    loop {
        let column = named(entity_type, &mut cursor)?.ok_or_else(|| incomplete(set))?;
        let place = given.get_mut(column.index).ok_or_else(|| incomplete(set))?;
        if place.is_some() {
            return Err(ODataError::GivenTwice { property: column.property.name.to_owned() });
        }
        let value = cursor.literal()?.ok_or_else(|| cursor.error("expected a value"))?;
        *place = Some(of_kind(column, value)?);
        if cursor.is_at_end() {
            break;
        }
        cursor.expect(",")?;
    }
    let values: Option<Vec<Value>> = given.into_iter().collect();
    values.map(|values| Key { entity_type, values }).ok_or_else(|| incomplete(set))
}

/// The property that the next value of a key is for; none if the key has to name it and does not.
fn named(entity_type: &'static EntityType, cursor: &mut Cursor<'_>) -> Result<Option<Column>, ODataError> {
    if let Some(name) = cursor.eat_name() {
        return entity_type.column(name).map(Some);
    }
    let mut all = entity_type.key_columns();
    let first = all.next();
    Ok(first.filter(|_| all.next().is_none()))
}

fn incomplete(set: &EntitySet) -> ODataError {
    let parts: Vec<_> = set.entity_type.key.iter().map(|part| format!("{}={}", part.name, part.kind.name())).collect();
    ODataError::KeyIncomplete { set: set.name, form: format!("({})", parts.join(",")) }
}

/// `value` as one of the column's kind.
pub(super) fn of_kind(column: Column, value: Value) -> Result<Value, ODataError> {
    let property = column.property;
    let value = value.fitted(property.kind);
    match value.kind() {
        Some(kind) if kind == property.kind => Ok(value),
        None if property.nullable => Ok(value),
        None => Err(ODataError::NotNullable { property: property.name }),
        Some(_) => Err(ODataError::WrongKind { property: property.name, kind: property.kind.name(), value: shown(&value.to_string()) }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{ID, MODEL, STAMP};
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        let resource = parse(&MODEL, path).unwrap();
        let set = resource.set().map_or("", |set| set.name);
        let text = match resource {
            Resource::Count(_) => format!("count of {set}"),
            Resource::Entity(_, key) => format!("{set}{key}"),
            Resource::Metadata => "metadata".to_owned(),
            Resource::Property(_, key, column) => format!("{} of {set}{key}", column.property.name),
            Resource::PropertyValue(_, key, column) => format!("value of {} of {set}{key}", column.property.name),
            Resource::ServiceDocument => "service".to_owned(),
            Resource::Set(_) => set.to_owned(),
        };
        assert_eq!(text, expected, "{path}");
    }

    #[track_caller]
    fn refused(path: &str, code: &str, message: &str) {
        let error = parse(&MODEL, path).unwrap_err();
        assert_eq!(error.code(), code, "{path}: {error}");
        assert!(error.to_string().contains(message), "{path}: {error}");
    }

    #[test]
    fn a_path_leads_to_one_thing() {
        let one = format!("Machines(ID=guid'{ID}',StampId=guid'{STAMP}')");
        check("", "service");
        check("/", "service");
        check("/$metadata", "metadata");
        check("/%24metadata", "metadata");
        check("/Machines", "Machines");
        check("/Machines()", "Machines");
        check("Machines/$count", "count of Machines");
        check(&format!("/{one}"), &one);
        check(&format!("/Machines(StampId=guid'{STAMP}',ID=guid'{ID}')"), &one);
        check(&format!("/Machines%28ID%3Dguid%27{ID}%27%2CStampId%3DGuid%27{STAMP}%27%29"), &one);
        check(&format!("/{one}/Name"), &format!("Name of {one}"));
        check(&format!("/{one}/Name/$value"), &format!("value of Name of {one}"));
        check("/Events(5L)", "Events(5L)");
        check("/Events(Number=5)", "Events(5L)");
        check(&format!("/Stamps(guid'{STAMP}')"), &format!("Stamps(guid'{STAMP}')"));
        check(&format!("/Stamps(ID=guid'{STAMP}')"), &format!("Stamps(guid'{STAMP}')"));
        check("/Labels('a%2Fb''c')", "Labels('a/b''c')");
    }

    #[test]
    fn everything_else_is_refused() {
        let one = format!("Machines(ID=guid'{ID}',StampId=guid'{STAMP}')");
        refused("/machines", "UnknownSet", "did you mean `Machines`?");
        refused("/Machines/", "ResourceNotFound", "only `$count`");
        refused("//Machines", "ResourceNotFound", "empty segment");
        refused("/$batch", "NotOffered", "`$batch`");
        refused("/Machines(", "ResourceNotFound", "ends with `)`");
        refused("/Machines()()", "InvalidKey", "`Machines`");
        refused("/Events(Number)", "InvalidExpression", "expected a value");
        refused("/Events()(5)", "InvalidExpression", "`key` cannot be read at character 1");
        refused(&format!("/Machines(guid'{ID}')"), "InvalidKey", "(ID=Edm.Guid,StampId=Edm.Guid)");
        refused("/Machines('x')", "InvalidKey", "(ID=Edm.Guid,StampId=Edm.Guid)");
        refused(&format!("/Machines(ID=guid'{ID}')"), "InvalidKey", "StampId");
        refused(&format!("/Machines(ID=guid'{ID}',ID=guid'{ID}')"), "GivenTwice", "`ID`");
        refused(&format!("/Machines(ID=guid'{ID}',Name='x')"), "InvalidKey", "");
        refused(&format!("/Machines(ID=guid'{ID}',StmapId=guid'{ID}')"), "UnknownProperty", "`StampId`");
        refused(&format!("/Machines(ID='{ID}',StampId=guid'{ID}')"), "WrongKind", "Edm.Guid");
        refused(&format!("/Machines(ID=guid'{ID}', StampId=guid'{ID}')"), "InvalidKey", "");
        refused(&format!("/{one}x"), "ResourceNotFound", "ends with");
        refused(&format!("/{one}/Colour"), "ResourceNotFound", "no such property");
        refused(&format!("/{one}/$links"), "NotOffered", "$links");
        refused(&format!("/{one}/Name/value"), "ResourceNotFound", "`$value`");
        refused(&format!("/{one}/Name/$value/x"), "PathTooLong", "3 segments");
        refused("/Events(null)", "NotNullable", "`Number`");
        refused("/Labels('a/b')", "ResourceNotFound", "");
        refused("/Machines%2", "InvalidEncoding", "Machines%2");
        refused("/Machines%00", "InvalidEncoding", "");
        refused("/%ff", "InvalidEncoding", "");
        refused(&"x".repeat(PATH_BYTES_MAX + 1), "PathTooLong", "4096 bytes");
    }

    proptest! {
        #[test]
        fn no_path_makes_the_parser_panic(path in any::<String>()) {
            let _unread = parse(&MODEL, &path).is_ok();
        }

        #[test]
        fn a_key_that_was_written_is_read_again(name in "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{1,40}") {
            let mut path = String::from("/Labels");
            text::push_encoded(&mut path, &format!("({})", Value::from(name.clone())));
            let Resource::Entity(_, key) = parse(&MODEL, &path).unwrap() else { panic!("{path}") };
            prop_assert_eq!(key.get("Name"), Some(&Value::from(name)));
        }
    }
}
