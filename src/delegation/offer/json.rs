//! Reading members of a JSON body, each with its place.
//!
//! Names of members are compared without case, as Azure does. A `null` is an absent member.

use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;

use super::error::{is_printable, shown};
use super::{BODY_BYTES_MAX, Document, OfferError, Place};
use crate::clock::Timestamp;
use crate::ids::NotAGuid;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node<'v> {
    value: &'v Value,
    at: Place,
}

/// The JSON of a body.
pub(super) fn parse(body: &[u8]) -> Result<Value, OfferError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(OfferError::BodyTooLarge { bytes: body.len() });
    }
    crate::json::strict(body).map_err(|cause| OfferError::BodyNotJson { cause })
}

impl<'v> Node<'v> {
    pub(super) const fn root(value: &'v Value, document: Document) -> Self {
        Self { value, at: Place::root(document) }
    }

    pub(super) const fn at(&self) -> &Place {
        &self.at
    }

    /// The member, if it is there.
    pub(super) fn optional(&self, name: &str) -> Result<Option<Self>, OfferError> {
        let Value::Object(members) = self.value else {
            return Err(self.wrong("an object"));
        };
        let mut found = members.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let value = found.next();
        if found.next().is_some() {
            return Err(OfferError::MemberTwice { at: self.at.member(name) });
        }
        Ok(value.filter(|value| !value.is_null()).map(|value| Self { value, at: self.at.member(name) }))
    }

    /// The member, which has to be there.
    pub(super) fn required(&self, name: &str) -> Result<Self, OfferError> {
        self.optional(name)?.ok_or_else(|| OfferError::Missing { at: self.at.member(name) })
    }

    /// The items of a list; of a list that is not there, none.
    pub(super) fn items(&self, name: &str, max: usize) -> Result<Vec<Self>, OfferError> {
        let Some(list) = self.optional(name)? else {
            return Ok(Vec::new());
        };
        let Value::Array(items) = list.value else {
            return Err(list.wrong("a list"));
        };
        if items.len() > max {
            return Err(OfferError::ListTooLong { at: list.at, length: items.len(), max });
        }
        Ok(items.iter().enumerate().map(|(index, value)| Self { value, at: list.at.item(index) }).collect())
    }

    pub(super) fn str(&self) -> Result<&'v str, OfferError> {
        self.value.as_str().ok_or_else(|| self.wrong("a text"))
    }

    pub(super) fn guid<T: FromStr<Err = NotAGuid>>(&self) -> Result<T, OfferError> {
        let text = self.str()?;
        text.parse().map_err(|_cause: NotAGuid| OfferError::IdMalformed { at: self.at.clone(), text: shown(text) })
    }

    /// One line of text; nothing when it is blank.
    pub(super) fn line(&self, max: usize) -> Result<Option<Arc<str>>, OfferError> {
        self.text(max, |_| false)
    }

    /// Text that may have line breaks and tabs; nothing when it is blank.
    pub(super) fn prose(&self, max: usize) -> Result<Option<Arc<str>>, OfferError> {
        self.text(max, |c| matches!(c, '\n' | '\r' | '\t'))
    }

    fn text(&self, max: usize, also: fn(char) -> bool) -> Result<Option<Arc<str>>, OfferError> {
        let text = self.str()?;
        let length = text.chars().count();
        if length > max {
            return Err(OfferError::TextTooLong { at: self.at.clone(), length, max });
        }
        if let Some(character) = text.chars().find(|c| !is_printable(*c) && !also(*c)) {
            return Err(OfferError::TextUnprintable { at: self.at.clone(), character });
        }
        Ok(Some(text).filter(|text| !text.trim().is_empty()).map(Arc::from))
    }

    pub(super) fn time(&self) -> Result<Timestamp, OfferError> {
        let text = self.str()?;
        text.parse().map_err(|_cause: jiff::Error| OfferError::TimeMalformed { at: self.at.clone(), text: shown(text) })
    }

    /// A whole number from 1 to `max`, or what is there instead.
    pub(super) fn count(&self, max: u16) -> Result<Result<u16, String>, OfferError> {
        let Value::Number(number) = self.value else {
            return Err(self.wrong("a number"));
        };
        let in_range = number.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| (1..=max).contains(number));
        Ok(in_range.ok_or_else(|| number.to_string()))
    }

    fn wrong(&self, expected: &'static str) -> OfferError {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        OfferError::WrongType { at: self.at.clone(), expected, found }
    }
}
