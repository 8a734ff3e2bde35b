//! What a service offers: sets of entities, and the properties of each.

use super::error::ODataError;
use super::value::Value;

/// How different a name may be from a wrong one to be offered instead: one change for so many characters.
const CHARACTERS_PER_CHANGE: usize = 3;

/// The type of a property, or of a value that is to be compared with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EdmKind {
    /// `Edm.Boolean`
    Boolean,
    /// `Edm.DateTime`, here always of UTC and with milliseconds.
    DateTime,
    /// `Edm.Guid`
    Guid,
    /// `Edm.Int32`
    Int32,
    /// `Edm.Int64`
    Int64,
    /// `Edm.String`
    String,
}

impl EdmKind {
    /// Its name in metadata.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "Edm.Boolean",
            Self::DateTime => "Edm.DateTime",
            Self::Guid => "Edm.Guid",
            Self::Int32 => "Edm.Int32",
            Self::Int64 => "Edm.Int64",
            Self::String => "Edm.String",
        }
    }

    /// What a property of this kind has that cannot be null and was not given. Source: WCF Data Services, PUT.
    #[must_use]
    pub fn default_value(self) -> Value {
        match self {
            Self::Boolean => Value::Boolean(false),
            Self::DateTime => Value::DateTime(jiff::Timestamp::UNIX_EPOCH),
            Self::Guid => Value::Guid(uuid::Uuid::nil()),
            Self::Int32 => Value::Int32(0),
            Self::Int64 => Value::Int64(0),
            Self::String => Value::String("".into()),
        }
    }
}

/// A property of an entity type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Property {
    /// Its name; names differ in case.
    pub name: &'static str,
    /// Its kind.
    pub kind: EdmKind,
    /// Whether it can be without a value.
    pub nullable: bool,
}

impl Property {
    /// A property that always has a value.
    #[must_use]
    pub const fn required(name: &'static str, kind: EdmKind) -> Self {
        Self { name, kind, nullable: false }
    }

    /// A property that can be null.
    #[must_use]
    pub const fn optional(name: &'static str, kind: EdmKind) -> Self {
        Self { name, kind, nullable: true }
    }
}

/// A type of entities. The properties of its key come first wherever all are listed.
#[derive(Debug, PartialEq, Eq)]
pub struct EntityType {
    /// Its name, without the namespace.
    pub name: &'static str,
    /// The properties whose values together are of one entity only; at least one, none nullable.
    pub key: &'static [Property],
    /// All others.
    pub properties: &'static [Property],
}

/// A property and where its value stands in an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub(super) index: usize,
    /// The property.
    pub property: &'static Property,
}

impl EntityType {
    /// All properties, those of the key first.
    pub fn columns(&self) -> impl Iterator<Item = Column> + use<> {
        self.key.iter().chain(self.properties).enumerate().map(|(index, property)| Column { index, property })
    }

    /// The properties of the key.
    pub fn key_columns(&self) -> impl Iterator<Item = Column> + use<> {
        self.columns().take(self.key.len())
    }

    /// The property of this name.
    ///
    /// # Errors
    /// When there is none. The error names the nearest.
    pub fn column(&self, name: &str) -> Result<Column, ODataError> {
        self.columns().find(|column| column.property.name == name).ok_or_else(|| ODataError::UnknownProperty {
            property: shown(name),
            entity_type: self.name,
            nearest: Nearest::of(name, self.columns().map(|column| column.property.name)),
        })
    }

    pub(super) fn is_key(&self, column: Column) -> bool {
        column.index < self.key.len()
    }
}

/// A set of entities of one type.
#[derive(Debug, PartialEq, Eq)]
pub struct EntitySet {
    /// Its name.
    pub name: &'static str,
    /// The type of all that is in it.
    pub entity_type: &'static EntityType,
}

/// A service.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    /// The namespace of its types.
    pub namespace: &'static str,
    /// The name of what holds its sets.
    pub container: &'static str,
    /// Its sets.
    pub sets: &'static [EntitySet],
}

impl Model {
    /// The set of this name.
    ///
    /// # Errors
    /// When there is none. The error names the nearest.
    pub fn set(&self, name: &str) -> Result<&'static EntitySet, ODataError> {
        self.sets
            .iter()
            .find(|set| set.name == name)
            .ok_or_else(|| ODataError::UnknownSet { set: shown(name), nearest: Nearest::of(name, self.sets.iter().map(|set| set.name)) })
    }

    /// The types of all sets, each once.
    pub(super) fn types(&self) -> Vec<&'static EntityType> {
        let mut types: Vec<&'static EntityType> = Vec::new();
        for set in self.sets {
            if !types.iter().any(|known| known.name == set.entity_type.name) {
                types.push(set.entity_type);
            }
        }
        types
    }
}

/// The name that was probably meant, as the end of an error message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nearest(Option<&'static str>);

impl Nearest {
    pub(super) fn of(wrong: &str, names: impl Iterator<Item = &'static str>) -> Self {
        let wrong = shown(wrong).to_ascii_lowercase();
        let distance = |name: &str| strsim::osa_distance(&wrong, &name.to_ascii_lowercase());
        let nearest = names.map(|name| (distance(name), name)).min();
        Self(nearest.filter(|(changes, name)| *changes <= name.len() / CHARACTERS_PER_CHANGE).map(|(_, name)| name))
    }
}

impl std::fmt::Display for Nearest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, "; did you mean `{name}`?"))
    }
}

/// How much of what was sent an error shows, in characters.
const SHOWN_MAX: usize = 64;

/// `text` as an error may show it: shortened, with unprintable characters escaped.
pub(super) fn shown(text: &str) -> String {
    text.chars()
        .take(SHOWN_MAX)
        .flat_map(|character| if character.is_control() { character.escape_default().collect() } else { vec![character] })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MACHINE, MODEL};

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest() {
        let message = |name| MACHINE.column(name).unwrap_err().to_string();
        assert_eq!(message("name"), "`Machine` has no property `name`; did you mean `Name`?");
        assert_eq!(message("StmapId"), "`Machine` has no property `StmapId`; did you mean `StampId`?");
        assert_eq!(message("Colour"), "`Machine` has no property `Colour`");
        assert_eq!(MODEL.set("Machine").unwrap_err().to_string(), "there is no set `Machine`; did you mean `Machines`?");
    }

    #[test]
    fn the_key_comes_first() {
        let names: Vec<_> = MACHINE.columns().map(|column| column.property.name).collect();
        assert_eq!(names.first_chunk(), Some(&["ID", "StampId"]));
        assert_eq!(MACHINE.key_columns().count(), 2);
    }

    #[test]
    fn an_error_shows_no_control_character_and_no_book() {
        assert_eq!(super::shown("a\u{1b}b"), "a\\u{1b}b");
        assert_eq!(super::shown(&"x".repeat(10_000)).len(), super::SHOWN_MAX);
    }
}
