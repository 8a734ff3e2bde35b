//! What is wrong with a request, and what kind of wrong it is.

use super::body::BODY_BYTES_MAX;
use super::literal::LITERAL_BYTES_MAX;
use super::model::Nearest;
use super::path::{PATH_BYTES_MAX, SEGMENTS_MAX};
use super::query::{FILTER_DEPTH_MAX, FILTER_TERMS_MAX, ORDER_MAX, QUERY_BYTES_MAX};

/// Why a request is refused. What was sent is shown shortened, with unprintable characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ODataError {
    /// A body that is not what its media type says.
    #[error("the body is not a readable {form}: {cause}")]
    Body {
        /// `JSON object` or `Atom entry`.
        form: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// More than [`BODY_BYTES_MAX`] bytes.
    #[error("the body has {length} bytes; allowed: {BODY_BYTES_MAX}")]
    BodyTooLarge {
        /// Bytes of the body.
        length: usize,
    },
    /// A property twice in a key, a body or a path.
    #[error("`{property}` is given twice")]
    GivenTwice {
        /// The property or option.
        property: String,
    },
    /// A `%` without two hexadecimal digits, bytes that are no text, or a control character.
    #[error("`{text}` is not percent-encoded text")]
    Encoding {
        /// As it was sent.
        text: String,
    },
    /// Something in a filter, order or key that cannot be read.
    #[error("`{option}` cannot be read at character {at}: {expected}")]
    Expression {
        /// The option or `key`.
        option: &'static str,
        /// Characters before the place at fault, from 1.
        at: usize,
        /// What would be right there.
        expected: String,
    },
    /// More than [`FILTER_TERMS_MAX`] terms or more than [`FILTER_DEPTH_MAX`] levels.
    #[error("`$filter` is too complicated; allowed: {FILTER_TERMS_MAX} terms, {FILTER_DEPTH_MAX} levels")]
    FilterTooComplicated,
    /// A key property has another value in the body than in the path.
    #[error("`{property}` is part of the key and cannot be changed")]
    KeyChanged {
        /// The property.
        property: &'static str,
    },
    /// A key that does not say one value for each property of the key.
    #[error("the key of `{set}` has to be {form}")]
    KeyIncomplete {
        /// The set.
        set: &'static str,
        /// Such as `(ID=guid'…',StampId=guid'…')`.
        form: String,
    },
    /// A literal longer than [`LITERAL_BYTES_MAX`] bytes.
    #[error("a value has more than {LITERAL_BYTES_MAX} bytes")]
    LiteralTooLong,
    /// `X-HTTP-Method` where it cannot be, or with what it cannot say.
    #[error("`X-HTTP-Method: {header}` does not go with {method}; it can be DELETE, MERGE, PATCH or PUT in a POST")]
    MethodHeader {
        /// The method of the request.
        method: String,
        /// The value of the header.
        header: String,
    },
    /// No format that the client accepts can be written.
    #[error(
        "`{accept}` is not offered; offered: application/atom+xml, application/json with odata=verbose, minimalmetadata, fullmetadata or nometadata"
    )]
    NotAcceptable {
        /// What was asked for.
        accept: String,
    },
    /// No value for a property that cannot be without one.
    #[error("`{property}` cannot be null")]
    NotNullable {
        /// The property.
        property: &'static str,
    },
    /// A part of the protocol that is not offered.
    #[error("`{what}` is not offered by this service")]
    NotOffered {
        /// Such as `$batch`.
        what: String,
    },
    /// An option for another kind of resource.
    #[error("`{option}` does not apply here")]
    OptionMisplaced {
        /// The option.
        option: &'static str,
    },
    /// An option with a value that it cannot have.
    #[error("`{option}` is `{value}`; allowed: {allowed}")]
    OptionValue {
        /// The option.
        option: &'static str,
        /// What was sent.
        value: String,
        /// What it can be.
        allowed: String,
    },
    /// More than [`ORDER_MAX`] parts.
    #[error("`$orderby` has more than {ORDER_MAX} parts")]
    OrderTooLong,
    /// More than [`PATH_BYTES_MAX`] bytes or [`SEGMENTS_MAX`] segments.
    #[error("the path is too long; allowed: {PATH_BYTES_MAX} bytes, {SEGMENTS_MAX} segments")]
    PathTooLong,
    /// More than [`QUERY_BYTES_MAX`] bytes.
    #[error("the query has {length} bytes; allowed: {QUERY_BYTES_MAX}")]
    QueryTooLong {
        /// Bytes of the query.
        length: usize,
    },
    /// A path that leads to nothing.
    #[error("there is nothing at `{segment}`; {expected}")]
    Segment {
        /// The segment.
        segment: String,
        /// What could be there.
        expected: &'static str,
    },
    /// An option that begins with `$` and that no service has.
    #[error("there is no option `{option}`{nearest}")]
    UnknownOption {
        /// The option.
        option: String,
        /// What was probably meant.
        nearest: Nearest,
    },
    /// A property that the type does not have.
    #[error("`{entity_type}` has no property `{property}`{nearest}")]
    UnknownProperty {
        /// The property.
        property: String,
        /// The type.
        entity_type: &'static str,
        /// What was probably meant.
        nearest: Nearest,
    },
    /// A set that the service does not have.
    #[error("there is no set `{set}`{nearest}")]
    UnknownSet {
        /// The set.
        set: String,
        /// What was probably meant.
        nearest: Nearest,
    },
    /// A body that is neither JSON nor Atom.
    #[error("a body of `{media_type}` cannot be read; send application/json or application/atom+xml")]
    UnsupportedMediaType {
        /// What was sent, `nothing` for no media type.
        media_type: String,
    },
    /// A version of the protocol after 3.0.
    #[error("version `{version}` of OData is not spoken here; send 1.0, 2.0 or 3.0")]
    Version {
        /// What was sent.
        version: String,
    },
    /// A value of another kind than its property.
    #[error("`{property}` is {kind}; `{value}` is not")]
    WrongKind {
        /// The property.
        property: &'static str,
        /// Such as `Edm.Guid`.
        kind: &'static str,
        /// What was sent.
        value: String,
    },
}

/// What kind of wrong an error is, for whoever makes a status of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 400
    BadRequest,
    /// 406
    NotAcceptable,
    /// 404
    NotFound,
    /// 501
    NotImplemented,
    /// 413
    TooLarge,
    /// 414
    UriTooLong,
    /// 415
    UnsupportedMediaType,
}

impl ODataError {
    /// What kind of wrong this is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Body { .. }
            | Self::Encoding { .. }
            | Self::Expression { .. }
            | Self::FilterTooComplicated
            | Self::GivenTwice { .. }
            | Self::KeyChanged { .. }
            | Self::KeyIncomplete { .. }
            | Self::LiteralTooLong
            | Self::MethodHeader { .. }
            | Self::NotNullable { .. }
            | Self::OptionMisplaced { .. }
            | Self::OptionValue { .. }
            | Self::OrderTooLong
            | Self::UnknownOption { .. }
            | Self::UnknownProperty { .. }
            | Self::Version { .. }
            | Self::WrongKind { .. } => Fault::BadRequest,
            Self::BodyTooLarge { .. } => Fault::TooLarge,
            Self::NotAcceptable { .. } => Fault::NotAcceptable,
            Self::NotOffered { .. } => Fault::NotImplemented,
            Self::PathTooLong | Self::QueryTooLong { .. } => Fault::UriTooLong,
            Self::Segment { .. } | Self::UnknownSet { .. } => Fault::NotFound,
            Self::UnsupportedMediaType { .. } => Fault::UnsupportedMediaType,
        }
    }

    /// A stable word for the error body, such as `UnknownProperty`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Body { .. } => "UnreadableBody",
            Self::BodyTooLarge { .. } => "BodyTooLarge",
            Self::Encoding { .. } => "InvalidEncoding",
            Self::Expression { .. } => "InvalidExpression",
            Self::FilterTooComplicated => "FilterTooComplicated",
            Self::GivenTwice { .. } => "GivenTwice",
            Self::KeyChanged { .. } => "KeyChanged",
            Self::KeyIncomplete { .. } => "InvalidKey",
            Self::LiteralTooLong => "ValueTooLong",
            Self::MethodHeader { .. } => "MethodHeader",
            Self::NotAcceptable { .. } => "NotAcceptable",
            Self::NotNullable { .. } => "NotNullable",
            Self::NotOffered { .. } => "NotOffered",
            Self::OptionMisplaced { .. } => "OptionMisplaced",
            Self::OptionValue { .. } => "InvalidOption",
            Self::OrderTooLong => "OrderTooLong",
            Self::PathTooLong => "PathTooLong",
            Self::QueryTooLong { .. } => "QueryTooLong",
            Self::Segment { .. } => "ResourceNotFound",
            Self::UnknownOption { .. } => "UnknownOption",
            Self::UnknownProperty { .. } => "UnknownProperty",
            Self::UnknownSet { .. } => "UnknownSet",
            Self::UnsupportedMediaType { .. } => "UnsupportedMediaType",
            Self::Version { .. } => "UnsupportedVersion",
            Self::WrongKind { .. } => "WrongKind",
        }
    }
}
