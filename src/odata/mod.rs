//! OData, versions 1 to 3, as WCF Data Services speak it: what a request asks of a described service, and how the answer is written.
//!
//! A façade has a [`Model`] and [`Entity`] values made from what it knows. It parses the path ([`path::parse`]) and the query
//! ([`query::parse`]), takes the entities that an index has for [`Filter::required_equal`], leaves filter, order and paging to
//! [`Query::page`], and writes with [`Writer`]. Bodies become [`Changes`], which [`Update`] applies to an entity.
//!
//! Never: I/O, async, a clock, a log; knowledge of what the entities are; a status; a panic on input. Everything is bounded by a named constant.
//! No navigation, no complex types, no batch: what has no counterpart in version 2 is text.

pub mod body;
mod entity;
mod error;
mod filter;
mod format;
mod literal;
pub mod metadata;
mod model;
pub mod path;
pub mod query;
mod text;
mod value;
pub mod write;

#[cfg(test)]
mod testing;

pub use entity::{Changes, Entity, Update, effective_method};
pub use error::{Fault, ODataError};
pub use filter::Filter;
pub use format::{Format, Metadata, check_version};
pub use literal::LITERAL_BYTES_MAX;
pub use model::{Column, EdmKind, EntitySet, EntityType, Model, Nearest, Property};
pub use path::{Key, Resource};
pub use query::{FormatOption, Page, Query, Select};
pub use value::Value;
pub use write::{Writer, Written};
