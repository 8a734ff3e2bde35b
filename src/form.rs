//! Form bodies and queries: `application/x-www-form-urlencoded`. It reads strictly and never guesses which of two equal fields was meant.

/// Each field is compared with those before it.
pub const FIELDS_MAX: usize = 64;

/// The fields of a form, each at most once. Source: RFC 6749 §3.2, "parameters … must not be included more than once".
#[derive(Debug, Default)]
pub struct Form(Vec<(String, String)>);

/// A text that is not a form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("the form is not percent-encoded UTF-8")]
    Encoding,
    /// Two fields of one name.
    #[error("the form holds more than one `{0}`")]
    Repeated(String),
    /// More fields than any form here has.
    #[error("the form has more than {FIELDS_MAX} fields")]
    TooMany,
}

/// A field that has to be there is not, or is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the form needs `{0}`")]
pub struct MissingField(pub &'static str);

impl Form {
    /// Reads a body or a query.
    ///
    /// # Errors
    /// When it is not percent-encoded UTF-8, has two fields of one name, or more than [`FIELDS_MAX`].
    pub fn parse(text: &[u8]) -> Result<Self, FormError> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut next = || decoded(halves.next().unwrap_or_default()).ok_or(FormError::Encoding);
            let (name, value) = (next()?, next()?);
            if fields.len() == FIELDS_MAX {
                return Err(FormError::TooMany);
            }
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(FormError::Repeated(name));
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    /// The field's value. Source: RFC 6749 §3.1, a field without a value counts as left out.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The field's value.
    ///
    /// # Errors
    /// When it is left out.
    pub fn require(&self, name: &'static str) -> Result<&str, MissingField> {
        self.get(name).ok_or(MissingField(name))
    }

    /// Adds a field that came another way, unless the form has it.
    pub fn set_default(&mut self, name: &str, value: String) {
        if self.get(name).is_none() {
            // One without a value counts as left out, and would be found before this one.
            self.0.retain(|(known, _)| known != name);
            self.0.push((name.to_owned(), value));
        }
    }
}

/// Undoes percent-encoding with `+` for a space.
#[must_use]
pub fn decoded(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hexadecimal(*rest.next()?)? * 16 + hexadecimal(*rest.next()?)?,
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[(&str, &str)], FormError>) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        assert_eq!(Form::parse(text.as_bytes()).map(|form| form.0), expected.map(|fields| fields.iter().map(owned).collect()));
    }

    #[test]
    fn a_form_is_decoded_and_holds_each_field_once() {
        check("", Ok(&[]));
        check("a=1&b=", Ok(&[("a", "1"), ("b", "")]));
        check("scope=https%3A%2F%2Fx%2F.default+openid", Ok(&[("scope", "https://x/.default openid")]));
        check("a=b=c", Ok(&[("a", "b=c")]));
        check("name=J%C3%BCrgen", Ok(&[("name", "Jürgen")]));
        check("a=1&a=2", Err(FormError::Repeated("a".to_owned())));
        let many: Vec<String> = (0..=FIELDS_MAX).map(|number| format!("f{number}=")).collect();
        check(&many.join("&"), Err(FormError::TooMany));
        check("a=%4", Err(FormError::Encoding));
        check("a=%zz", Err(FormError::Encoding));
        check("a=%ff", Err(FormError::Encoding));
    }

    #[test]
    fn a_default_stands_in_for_what_is_left_out() {
        let mut form = Form::parse(b"client_id=&scope=openid").unwrap();
        form.set_default("client_id", "us".to_owned());
        form.set_default("scope", "other".to_owned());
        assert_eq!((form.get("client_id"), form.get("scope")), (Some("us"), Some("openid")));
    }
}
