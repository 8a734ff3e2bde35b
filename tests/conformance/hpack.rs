//! What RFC 7541 says of blocks that cannot be decoded.

use crate::Section;
use crate::case::{Case, Gateway, Must};
use crate::frames::{END_HEADERS, END_STREAM, HEADERS, frame, number};

pub const SECTIONS: &[Section] = &[
    ("hpack 2.3.3: places of the tables", places),
    ("hpack 4.2: the size of the table", table_size),
    ("hpack 5.2: texts", texts),
    ("hpack 6.1: indexed fields", indexed),
    ("hpack 6.3: updates of the size", updates),
];

/// A sound request with these bytes before and behind its fields.
fn of(gateway: &Gateway, name: &'static str, before: &[u8], behind: &[u8]) -> Case {
    let fields = [before, &gateway.with("GET", &[]), behind].concat();
    Case::say(name, &[frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields)], Must::End(&["COMPRESSION_ERROR"]))
}

fn places(gateway: &Gateway) -> Vec<Case> {
    vec![
        of(gateway, "an indexed field beyond the tables", &[], &number(0x80, 7, 70)),
        of(gateway, "an indexed name beyond the tables", &[], &[number(0x40, 6, 70).as_slice(), &[1], b"x"].concat()),
    ]
}

fn table_size(gateway: &Gateway) -> Vec<Case> {
    vec![of(gateway, "an update at the end of a block", &[], &number(0x20, 5, 1))]
}

fn texts(gateway: &Gateway) -> Vec<Case> {
    // `x: test` in Huffman's code, with what is wrong behind it.
    let text = |bytes: &[u8]| [&[0, 1], b"x".as_slice(), &number(0x80, 7, bytes.len()), bytes].concat();
    vec![
        of(gateway, "padding of more than seven bits", &[], &text(b"\x49\x50\x9f\xff")),
        of(gateway, "padding of zeros", &[], &text(b"\x49\x50\x90")),
        of(gateway, "the end of all texts within one", &[], &text(b"\xff\xff\xff\xff\x49\x50\x9f\xff")),
    ]
}

fn indexed(gateway: &Gateway) -> Vec<Case> {
    vec![of(gateway, "place 0", &[], &number(0x80, 7, 0))]
}

fn updates(gateway: &Gateway) -> Vec<Case> {
    vec![of(gateway, "a size larger than allowed", &number(0x20, 5, 4097), &[])]
}
