//! Whether bytes that are said to be no document begin like one, for any reader: in any form of Unicode, behind whatever may pass for blank.

/// What a beginning is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// JSON, or what lenient readers of it or of XML would take.
    Document,
    /// Nothing that a reader of documents would go on with.
    Other,
    /// Blank so far.
    Unknown,
}

/// What makes a document of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sought {
    /// Anything that is read as JSON or XML.
    #[default]
    Any,
    /// An object of JSON, be it behind a comment: nothing else has members that name a link.
    Object,
}

/// The beginning of a body, read in all forms at once. What is one in any of them is one.
#[derive(Debug)]
pub(super) struct Beginning {
    bytes_seen: usize,
    text: Text,
    units: [Units; 4],
}

impl Default for Beginning {
    fn default() -> Self {
        Self::of(Sought::Any)
    }
}

impl Beginning {
    pub(super) fn of(sought: Sought) -> Self {
        let units = [(2, Order::Big), (2, Order::Little), (4, Order::Big), (4, Order::Little)];
        let text = Text { sought, ..Text::default() };
        Self { bytes_seen: 0, text, units: units.map(|(size, order)| Units::new(size, order, sought)) }
    }

    /// Looks at the next bytes. A verdict but [`Verdict::Unknown`] is the last one.
    pub(super) fn look_at(&mut self, data: &[u8]) -> Verdict {
        // Images of empty disks begin with nothing but zeros, and there are many.
        let is_aligned = self.bytes_seen.is_multiple_of(4) && self.text.left == 0;
        self.bytes_seen = self.bytes_seen.wrapping_add(data.len());
        let data = if is_aligned { behind_zeros(data) } else { data };
        let mut all = self.text.look_at(data);
        for units in &mut self.units {
            all = worse(all, units.look_at(data));
        }
        all
    }
}

const fn worse(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Document, _) | (_, Verdict::Document) => Verdict::Document,
        (Verdict::Unknown, _) | (_, Verdict::Unknown) => Verdict::Unknown,
        (Verdict::Other, Verdict::Other) => Verdict::Other,
    }
}

/// The first verdict that bytes come to, one after the other.
fn first(data: &[u8], mut take: impl FnMut(u8) -> Verdict) -> Verdict {
    data.iter().map(|byte| take(*byte)).find(|verdict| *verdict != Verdict::Unknown).unwrap_or(Verdict::Unknown)
}

/// What stands behind the first zeros, four at a time.
fn behind_zeros(data: &[u8]) -> &[u8] {
    let zeros = data.iter().position(|byte| *byte != 0).unwrap_or(data.len());
    data.get(zeros - zeros % 4..).unwrap_or_default()
}

/// UTF-8, as a lenient reader of it would take it: with characters in more bytes than they need.
#[derive(Debug, Default)]
struct Text {
    sought: Sought,
    is_other: bool,
    /// Of a character that has begun.
    value: u32,
    /// Bytes of it that are to come.
    left: u8,
    /// Whether all bytes of it could be blank by themselves.
    is_blank: bool,
}

impl Text {
    fn look_at(&mut self, data: &[u8]) -> Verdict {
        if self.is_other {
            return Verdict::Other;
        }
        let verdict = first(data, |byte| self.take(byte));
        self.is_other = verdict == Verdict::Other;
        verdict
    }

    fn take(&mut self, byte: u8) -> Verdict {
        let is_rest = byte & 0xc0 == 0x80;
        if self.left > 0 && !is_rest {
            self.left = 0;
            return if self.is_blank { self.begin(byte) } else { Verdict::Other };
        }
        if self.left == 0 {
            return self.begin(byte);
        }
        self.value = self.value << 6 | u32::from(byte & 0x3f);
        self.left -= 1;
        self.is_blank &= is_blank_byte(byte);
        if self.left == 0 { meaning(self.value, self.sought) } else { Verdict::Unknown }
    }

    /// The first byte of a character.
    fn begin(&mut self, byte: u8) -> Verdict {
        (self.left, self.value) = match byte {
            ..=0x7f => return meaning(u32::from(byte), self.sought),
            0xc0..=0xdf => (1, u32::from(byte & 0x1f)),
            0xe0..=0xef => (2, u32::from(byte & 0x0f)),
            0xf0..=0xf7 => (3, u32::from(byte & 0x07)),
            _ if is_blank_byte(byte) => return Verdict::Unknown,
            _ => return Verdict::Other,
        };
        self.is_blank = is_blank_byte(byte);
        Verdict::Unknown
    }
}

/// UTF-16 or UTF-32.
#[derive(Debug)]
struct Units {
    size: u8,
    order: Order,
    sought: Sought,
    is_other: bool,
    value: u32,
    /// Bytes of the next unit that have come.
    come: u8,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Big,
    Little,
}

impl Units {
    const fn new(size: u8, order: Order, sought: Sought) -> Self {
        Self { size, order, sought, is_other: false, value: 0, come: 0 }
    }

    fn look_at(&mut self, data: &[u8]) -> Verdict {
        if self.is_other {
            return Verdict::Other;
        }
        let verdict = first(data, |byte| self.take(byte));
        self.is_other = verdict == Verdict::Other;
        verdict
    }

    fn take(&mut self, byte: u8) -> Verdict {
        self.value = match self.order {
            Order::Big => self.value << 8 | u32::from(byte),
            Order::Little => self.value | u32::from(byte) << (8 * self.come),
        };
        self.come += 1;
        if self.come < self.size {
            return Verdict::Unknown;
        }
        self.come = 0;
        meaning(std::mem::take(&mut self.value), self.sought)
    }
}

/// What a character at the beginning makes of a body.
fn meaning(value: u32, sought: Sought) -> Verdict {
    match char::from_u32(value) {
        Some('{' | '/') => Verdict::Document,
        Some('[' | '"' | '\'' | '<') if sought == Sought::Any => Verdict::Document,
        Some(c) if is_blank(c) => Verdict::Unknown,
        Some(_) | None => Verdict::Other,
    }
}

/// What some reader passes over before a document: blanks, what controls and what nobody sees, and marks of the order of bytes either way round.
fn is_blank(c: char) -> bool {
    let is_unseen = matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    c.is_whitespace() || c.is_control() || is_unseen
}

/// Bytes that are blank by themselves in texts that are no UTF-8: of marks of the order of bytes, and blanks of Latin-1.
const fn is_blank_byte(byte: u8) -> bool {
    matches!(byte, 0x85 | 0xa0 | 0xef | 0xbb | 0xbf | 0xfe | 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Verdict {
        Beginning::default().look_at(bytes)
    }

    /// The same, a byte at a time.
    fn by_bytes(bytes: &[u8]) -> Verdict {
        let mut beginning = Beginning::default();
        let verdict = bytes.chunks(1).map(|byte| beginning.look_at(byte)).find(|verdict| *verdict != Verdict::Unknown);
        verdict.unwrap_or(Verdict::Unknown)
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: Verdict) {
        assert_eq!((of(bytes), by_bytes(bytes)), (expected, expected), "{bytes:02x?}");
    }

    fn utf16(text: &str) -> [Vec<u8>; 2] {
        [u16::to_be_bytes, u16::to_le_bytes].map(|bytes| text.encode_utf16().flat_map(bytes).collect())
    }

    fn utf32(text: &str) -> [Vec<u8>; 2] {
        [u32::to_be_bytes, u32::to_le_bytes].map(|bytes| text.chars().flat_map(|c| bytes(c.into())).collect())
    }

    #[test]
    fn a_document_is_one_behind_whatever_may_pass_for_blank_in_every_form() {
        let spaces = (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|c| c.is_whitespace() || c.is_control());
        let unseen = "\u{feff}\u{200b}\u{200d}\u{2060}\u{ad}\u{180e}\u{fffe}".chars();
        for blank in spaces.chain(unseen).map(String::from).chain(["".to_owned(), "\u{b}\u{1680} \0\u{feff}\t".to_owned()]) {
            for begin in ["{\"id\":1}", "[1]", "\"x\"", "'x'", "//x", "<x/>"] {
                let text = format!("{blank}{begin}");
                check(text.as_bytes(), Verdict::Document);
                for bytes in utf16(&text).into_iter().chain(utf32(&text)) {
                    check(&bytes, Verdict::Document);
                }
            }
            check(blank.as_bytes(), Verdict::Unknown);
        }
    }

    #[test]
    fn what_is_no_good_utf_8_hides_no_document() {
        for blank in
            [&b"\xff\xfe"[..], b"\xfe\xff", b"\xef\xbb", b"\xef", b"\xbf", b"\xa0", b"\x85", b"\xc0\xa0", b"\xc0\x80", b"\xe0\x80\xa0"]
        {
            check(&[blank, b"{}"].concat(), Verdict::Document);
            check(&[blank, b"xyz12345"].concat(), Verdict::Other);
        }
        check(b"\xc1\xbb", Verdict::Document);
        check(b"\xe0\x81\xbb", Verdict::Document);
        check(b"\xf0\x80\x81\xbb", Verdict::Document);
    }

    #[test]
    fn what_is_uploaded_as_bytes_is_none() {
        for bytes in [
            &b"PK\x03\x04\x14\0\0\0\x08\0"[..],
            b"\x1f\x8b\x08\0{{{{\0\x03",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            b"\xff\xd8\xff\xe0\0\x10JFIF\0",
            b"%PDF-1.7\n",
            b"\x7fELF\x02\x01\x01\0\0\0\0\0",
            b"MZ\x90\0\x03\0\0\0",
            b"\xeb\x63\x90\x10\x8e\xd0\xbc\0",
            b"BZh91AY&SY",
            b"\xfd7zXZ\0\0\x04",
            b"\x28\xb5\x2f\xfd\x04\x88",
            b"conectix\0\0\0\x02",
            b"vhdxfile\0\0\0\0",
            b"\0\0\0\0\0\0\0\0\0\0\0\x18ftypmp42",
            b"\xc3{xyz1234",
            b"plain text",
            "\u{e9}t\u{e9} 2026".as_bytes(),
        ] {
            check(bytes, Verdict::Other);
        }
    }

    #[test]
    fn an_object_is_sought_where_nothing_else_leads_anywhere() {
        let of = |bytes: &[u8]| Beginning::of(Sought::Object).look_at(bytes);
        for text in ["{}", " \r\n{", "\u{feff}{", "/*x*/{}", "//x"] {
            assert_eq!(of(text.as_bytes()), Verdict::Document, "{text}");
            assert!(utf16(text).into_iter().chain(utf32(text)).all(|bytes| of(&bytes) == Verdict::Document), "{text}");
        }
        for text in ["<a>{}</a>", "[{}]", "\"{}\"", "'x'", "# {}", "PK\u{3}\u{4}", "1"] {
            assert_eq!(of(format!("{text}    ").as_bytes()), Verdict::Other, "{text}");
        }
    }

    #[test]
    fn zeros_are_blank_however_many_there_are() {
        for zeros in [0, 1, 2, 3, 4, 5, 7, 8, 4096, 65_537] {
            check(&vec![0; zeros], Verdict::Unknown);
            check(&[vec![0; zeros], b"{\"id\":1}".to_vec()].concat(), Verdict::Document);
            check(&[vec![0; zeros], b"MZ\x90\x90MZ\x90\x90".to_vec()].concat(), Verdict::Other);
        }
        let mut beginning = Beginning::default();
        let pieces: [&[u8]; 4] = [b"\0\0\0\0", b"\0\0\0", b"\0\0\0\0\0", b"\0{\0\0"];
        assert_eq!(pieces.map(|piece| beginning.look_at(piece))[3], Verdict::Document);
    }
}
