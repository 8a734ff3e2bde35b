//! Reading values and names out of URLs: the words that keys, filters and orders are made of. Source: OData v3 ABNF.

use super::error::ODataError;
use super::model::shown;
use super::value::{Value, parse_guid, parse_time};

/// Bytes of the longest value in a URL, quotes included.
pub const LITERAL_BYTES_MAX: usize = 2 * 1024;

/// A place in a decoded text of a URL.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    option: &'static str,
    text: &'a str,
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// The beginning of `text`, which errors call `option`.
    pub(super) const fn new(option: &'static str, text: &'a str) -> Self {
        Self { option, text, rest: text }
    }

    pub(super) fn error(&self, expected: impl Into<String>) -> ODataError {
        let read = self.text.strip_suffix(self.rest).unwrap_or_default();
        ODataError::Expression { option: self.option, at: read.chars().count() + 1, expected: expected.into() }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// # Errors
    /// When something is left.
    pub(super) fn end(&self) -> Result<(), ODataError> {
        if self.is_at_end() { Ok(()) } else { Err(self.error("nothing more was expected")) }
    }

    /// Whether `token` stands here.
    pub(super) fn stands_at(&self, token: &str) -> bool {
        self.rest.starts_with(token)
    }

    /// Passes `token` if it stands here.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// # Errors
    /// When `token` does not stand here.
    pub(super) fn expect(&mut self, token: &'static str) -> Result<(), ODataError> {
        if self.eat(token) { Ok(()) } else { Err(self.error(format!("expected `{token}`"))) }
    }

    /// Passes blanks; says whether there were any.
    pub(super) fn blanks(&mut self) -> bool {
        let before = self.rest.len();
        self.rest = self.rest.trim_start_matches(' ');
        self.rest.len() < before
    }

    /// Passes the word `word`, which ends here or before something that is in no word.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek_word() == word;
        found && self.eat(word)
    }

    /// The word that stands here, or nothing.
    pub(super) fn peek_word(&self) -> &'a str {
        let end = self.rest.find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
        let (word, _) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if word.starts_with(|first: char| first.is_ascii_digit()) { "" } else { word }
    }

    /// Passes the word that stands here.
    pub(super) fn word(&mut self) -> &'a str {
        let word = self.peek_word();
        self.eat(word);
        word
    }

    /// Passes `name=` if it stands here.
    pub(super) fn eat_name(&mut self) -> Option<&'a str> {
        let word = self.peek_word();
        let rest = self.rest.strip_prefix(word).filter(|_| !word.is_empty())?.strip_prefix('=')?;
        self.rest = rest;
        Some(word)
    }

    /// The text in quotes that begins here, or nothing if none does. Two quotes inside stand for one.
    fn quoted(&mut self) -> Result<Option<String>, ODataError> {
        let Some(mut rest) = self.rest.strip_prefix('\'') else { return Ok(None) };
        let mut text = String::new();
        loop {
            let Some((part, tail)) = rest.split_once('\'') else {
                return Err(self.error("the text that begins here has no closing quote; a quote inside is written twice"));
            };
            text.push_str(part);
            if text.len() > LITERAL_BYTES_MAX {
                return Err(ODataError::LiteralTooLong);
            }
            match tail.strip_prefix('\'') {
                Some(after) => {
                    text.push('\'');
                    rest = after;
                }
                None => {
                    self.rest = tail;
                    return Ok(Some(text));
                }
            }
        }
    }

    /// The value that stands here, or nothing if what stands here is none.
    ///
    /// # Errors
    /// When it begins like a value and is none.
    pub(super) fn literal(&mut self) -> Result<Option<Value>, ODataError> {
        if let Some(text) = self.quoted()? {
            return Ok(Some(Value::String(text.into())));
        }
        if self.rest.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
            return self.number().map(Some);
        }
        let word = self.peek_word();
        let plain = match word {
            "true" => Value::Boolean(true),
            "false" => Value::Boolean(false),
            "null" => Value::Null,
            _ => return self.prefixed(word),
        };
        self.eat(word);
        Ok(Some(plain))
    }

    /// `guid'…'` or `datetime'…'`.
    fn prefixed(&mut self, prefix: &'a str) -> Result<Option<Value>, ODataError> {
        if !self.rest.strip_prefix(prefix).is_some_and(|after| after.starts_with('\'')) {
            return Ok(None);
        }
        let before = self.rest;
        self.eat(prefix);
        let text = self.quoted()?.unwrap_or_default();
        let value = match prefix {
            "guid" | "Guid" => parse_guid(&text).map(Value::Guid).ok_or("guid'00000000-0000-0000-0000-000000000000'"),
            "datetime" => parse_time(&text, true).map(Value::DateTime).ok_or("datetime'2000-12-31T23:59:59', which is UTC"),
            _ => Err("a value such as 'text', 5, true, guid'…' or datetime'…'"),
        };
        value.map(Some).map_err(|form| {
            self.rest = before;
            self.error(format!("expected {form}"))
        })
    }

    fn number(&mut self) -> Result<Value, ODataError> {
        let end = self.rest.find(|character: char| !(character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '+')));
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let digits = text.strip_suffix(['L', 'l']);
        let number = digits.unwrap_or(text).parse::<i64>();
        let number = number.map_err(|_cause| self.error(format!("`{}` is not a whole number of 64 bits", shown(text))))?;
        self.rest = rest;
        let short = i32::try_from(number).ok().filter(|_| digits.is_none());
        Ok(short.map_or(Value::Int64(number), Value::Int32))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn read(text: &str, expected: impl Into<Value>) {
        let mut cursor = Cursor::new("key", text);
        assert_eq!(cursor.literal(), Ok(Some(expected.into())), "{text}");
        assert_eq!(cursor.end(), Ok(()), "{text}");
    }

    #[track_caller]
    fn refused(text: &str, message: &str) {
        let error = Cursor::new("key", text).literal().unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }

    #[test]
    fn values_have_the_forms_of_odata() {
        read("'it''s'", "it's");
        read("''", "");
        read("''''", "'");
        read("5", 5);
        read("-5", -5);
        read("5L", 5_i64);
        read("4294967296", 4_294_967_296_i64);
        read("true", true);
        read("null", None::<bool>);
        read("guid'AAAAAAAA-0000-0000-0000-000000000001'", parse_guid("aaaaaaaa-0000-0000-0000-000000000001"));
        read("Guid'aaaaaaaa-0000-0000-0000-000000000001'", parse_guid("aaaaaaaa-0000-0000-0000-000000000001"));
        read("datetime'2026-11-21T08:00:00'", parse_time("2026-11-21T08:00", false));
    }

    #[test]
    fn what_only_looks_like_a_value_is_refused_with_its_place() {
        refused("'open", "no closing quote");
        refused("guid'5'", "guid'0000");
        refused("datetime'yesterday'", "datetime'2000");
        refused("X'00'", "a value such as");
        refused("1.5", "`1.5` is not a whole number");
        refused("99999999999999999999", "is not a whole number");
        refused("--5", "is not a whole number");
        refused(&format!("'{}'", "x".repeat(LITERAL_BYTES_MAX + 1)), "more than 2048 bytes");
        assert_eq!(Cursor::new("key", "Name").literal(), Ok(None));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let _unread = Cursor::new("key", &text).literal().is_ok();
        }

        #[test]
        fn a_text_that_was_written_is_read_again(text in "[^\u{0}-\u{1f}]{0,40}", number in any::<i64>(), id in any::<[u8; 16]>(), ms in -60_000_000_000_000_i64..250_000_000_000_000) {
            read(&Value::from(text.clone()).to_string(), text);
            read(&Value::from(number).to_string(), number);
            read(&Value::guid(id).to_string(), Value::guid(id));
            let time = jiff::Timestamp::from_millisecond(ms).unwrap();
            read(&Value::from(time).to_string(), time);
        }
    }
}
