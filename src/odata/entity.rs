//! Entities, and what a request changes about one.

use super::error::ODataError;
use super::model::{Column, EntityType, shown};
use super::path::{Key, of_kind};
use super::value::Value;

/// Values for all properties of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    entity_type: &'static EntityType,
    values: Vec<Value>,
}

impl Entity {
    /// An entity with these values. What is absent is null, or the default of its kind where it cannot be null.
    ///
    /// # Errors
    /// When a property is unknown or has a value of another kind.
    pub fn new<const N: usize>(entity_type: &'static EntityType, values: [(&str, Value); N]) -> Result<Self, ODataError> {
        let mut entity = Self::empty(entity_type);
        for (name, value) in values {
            let column = entity_type.column(name)?;
            entity.put(column, of_kind(column, value)?);
        }
        Ok(entity)
    }

    fn empty(entity_type: &'static EntityType) -> Self {
        Self { entity_type, values: entity_type.columns().map(default_of).collect() }
    }

    /// Its type.
    #[must_use]
    pub const fn entity_type(&self) -> &'static EntityType {
        self.entity_type
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::of(self.entity_type, &self.values)
    }

    /// The value of a property; null for one that the type does not have.
    #[must_use]
    pub fn get(&self, property: &str) -> &Value {
        self.entity_type.column(property).map_or(&Value::Null, |column| self.at(column))
    }

    /// The value in a column of its type.
    #[must_use]
    pub fn at(&self, column: Column) -> &Value {
        self.values.get(column.index).unwrap_or(&Value::Null)
    }

    /// Bytes of its texts, and a few for each other value.
    #[must_use]
    pub fn length(&self) -> usize {
        self.values.iter().map(Value::length).sum()
    }

    fn put(&mut self, column: Column, value: Value) {
        if let Some(place) = self.values.get_mut(column.index) {
            *place = value;
        }
    }

    /// The properties in which another entity of the type differs.
    pub fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Column> + 'a {
        self.entity_type.columns().filter(|column| self.at(*column) != other.at(*column))
    }
}

fn default_of(column: Column) -> Value {
    if column.property.nullable { Value::Null } else { column.property.kind.default_value() }
}

/// What becomes of properties that a request does not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// They stay: `MERGE` and `PATCH`.
    Merge,
    /// They become null, or the default of their kind where they cannot be null: `PUT`.
    Replace,
}

impl Update {
    /// What a method does; nothing for one that updates nothing.
    #[must_use]
    pub fn of_method(method: &str) -> Option<Self> {
        match method {
            "MERGE" | "PATCH" => Some(Self::Merge),
            "PUT" => Some(Self::Replace),
            _ => None,
        }
    }
}

/// The method that a request means: the one in its header `X-HTTP-Method` if it was sent with POST, as clients do where only GET and POST pass. Source: OData v2 §2.2.5.8.
///
/// # Errors
/// When the header comes with another method, or names one that it cannot stand for.
pub fn effective_method<'a>(method: &'a str, header: Option<&'a str>) -> Result<&'a str, ODataError> {
    match header {
        None => Ok(method),
        Some(meant @ ("DELETE" | "MERGE" | "PATCH" | "PUT")) if method == "POST" => Ok(meant),
        Some(other) => Err(ODataError::MethodHeader { method: shown(method), header: shown(other) }),
    }
}

/// What the body of a request gives: some properties of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    entity_type: &'static EntityType,
    given: Vec<Option<Value>>,
}

impl Changes {
    pub(super) fn none(entity_type: &'static EntityType) -> Self {
        Self { entity_type, given: entity_type.columns().map(|_| None).collect() }
    }

    /// Adds a value of the column's kind.
    pub(super) fn give(&mut self, column: Column, value: Value) -> Result<(), ODataError> {
        let value = of_kind(column, value)?;
        let Some(place) = self.given.get_mut(column.index) else { return Ok(()) };
        if place.replace(value).is_some() {
            return Err(ODataError::GivenTwice { property: column.property.name.to_owned() });
        }
        Ok(())
    }

    /// The value given for a property, which may be null; nothing if none was given.
    #[must_use]
    pub fn get(&self, property: &str) -> Option<&Value> {
        let column = self.entity_type.column(property).ok()?;
        self.given.get(column.index)?.as_ref()
    }

    /// The properties that a value was given for.
    pub fn columns(&self) -> impl Iterator<Item = Column> + '_ {
        self.entity_type.columns().filter(|column| self.given.get(column.index).is_some_and(Option::is_some))
    }

    /// A new entity: what was given, and null or the default of its kind elsewhere.
    #[must_use]
    pub fn create(&self) -> Entity {
        self.put_into(Entity::empty(self.entity_type))
    }

    /// What `entity` becomes. Its key stays; a body may repeat it.
    ///
    /// # Errors
    /// When the body gives another key.
    pub fn apply(&self, update: Update, entity: &Entity) -> Result<Entity, ODataError> {
        for column in self.columns().filter(|column| self.entity_type.is_key(*column)) {
            if self.get(column.property.name) != Some(entity.at(column)) {
                return Err(ODataError::KeyChanged { property: column.property.name });
            }
        }
        let mut basis = match update {
            Update::Merge => entity.clone(),
            Update::Replace => Entity::empty(self.entity_type),
        };
        for column in self.entity_type.key_columns() {
            basis.put(column, entity.at(column).clone());
        }
        Ok(self.put_into(basis))
    }

    fn put_into(&self, mut entity: Entity) -> Entity {
        for (column, value) in self.entity_type.columns().zip(&self.given) {
            if let Some(value) = value {
                entity.put(column, value.clone());
            }
        }
        entity
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ID, MACHINE, OTHER_ID, machine};
    use super::super::value::parse_guid;
    use super::*;

    fn changes(values: &[(&str, Value)]) -> Changes {
        let mut changes = Changes::none(&MACHINE);
        for (name, value) in values {
            changes.give(MACHINE.column(name).unwrap(), value.clone()).unwrap();
        }
        changes
    }

    fn differing(one: &Entity, another: &Entity) -> Vec<&'static str> {
        one.differences(another).map(|column| column.property.name).collect()
    }

    #[test]
    fn merge_keeps_what_is_absent_and_replace_resets_it() {
        let given = changes(&[("Cores", Value::Int32(8)), ("ID", parse_guid(ID).into())]);
        let merged = given.apply(Update::Merge, &machine()).unwrap();
        assert_eq!(differing(&machine(), &merged), ["Cores"]);
        let replaced = given.apply(Update::Replace, &machine()).unwrap();
        assert_eq!(differing(&merged, &replaced), ["Name", "Disk", "Running", "Created"]);
        assert_eq!(replaced.key(), machine().key());
        assert_eq!(
            [replaced.get("Name"), replaced.get("Running"), replaced.get("Disk")],
            [&Value::from(""), &Value::from(false), &Value::Null]
        );
    }

    #[test]
    fn null_that_is_given_is_not_absence() {
        let merged = changes(&[("Disk", Value::Null)]).apply(Update::Merge, &machine()).unwrap();
        assert_eq!(differing(&machine(), &merged), ["Disk"]);
    }

    #[test]
    fn a_key_cannot_be_changed() {
        let given = changes(&[("ID", parse_guid(OTHER_ID).into())]);
        assert_eq!(given.apply(Update::Merge, &machine()), Err(ODataError::KeyChanged { property: "ID" }));
        assert_eq!(given.create().get("ID"), &Value::from(parse_guid(OTHER_ID)));
    }

    #[test]
    fn a_value_of_another_kind_is_refused_by_name() {
        let error = Entity::new(&MACHINE, [("Cores", "4".into())]).unwrap_err();
        assert_eq!(error.to_string(), "`Cores` is Edm.Int32; `'4'` is not");
        assert_eq!(Entity::new(&MACHINE, [("Name", Value::Null)]), Err(ODataError::NotNullable { property: "Name" }));
        assert_eq!(Entity::new(&MACHINE, [("Core", Value::Null)]).unwrap_err().code(), "UnknownProperty");
    }

    #[test]
    fn a_method_in_the_header_counts_for_post_only() {
        assert_eq!(effective_method("PUT", None), Ok("PUT"));
        assert_eq!(effective_method("POST", Some("MERGE")), Ok("MERGE"));
        assert_eq!(effective_method("POST", Some("GET")).unwrap_err().code(), "MethodHeader");
        assert_eq!(
            effective_method("GET", Some("DELETE")).unwrap_err().to_string(),
            "`X-HTTP-Method: DELETE` does not go with GET; it can be DELETE, MERGE, PATCH or PUT in a POST"
        );
    }

    #[test]
    fn methods_update_in_two_ways() {
        assert_eq!(
            ["MERGE", "PATCH", "PUT", "POST"].map(Update::of_method),
            [Some(Update::Merge), Some(Update::Merge), Some(Update::Replace), None]
        );
    }
}
