//! What every server does for a client that does nothing wrong.

use crate::Section;
use crate::case::{Case, Gateway, Must, Step, end};
use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY, SETTINGS, WITH_PRIORITY, block,
    frame, literal, number, reset, settings, window_update,
};

pub const SECTIONS: &[Section] = &[
    ("generic 1: starting", starting),
    ("generic 2: streams and multiplexing", streams),
    ("generic 3: frames", frames),
    ("generic 4: messages", messages),
    ("generic 5: fields", fields),
];

fn starting(_: &Gateway) -> Vec<Case> {
    let preface = [PREFACE.to_vec(), settings(&[])];
    vec![Case::say("a client's preface is answered with settings", &preface, Must::Hear(SETTINGS, 0, &[])).bare()]
}

const PRIORITY_OF_NOTHING: [u8; 5] = [0, 0, 0, 0, 255];

fn priority(stream: u32) -> Vec<u8> {
    frame(PRIORITY, 0, stream, &PRIORITY_OF_NOTHING)
}

fn streams(gateway: &Gateway) -> Vec<Case> {
    vec![
        Case::say("PRIORITY on an idle stream", &[priority(1), gateway.get(1)], Must::Answer(1)),
        Case::say("WINDOW_UPDATE on a half-closed stream", &[gateway.get(1), window_update(1, 100)], Must::Answer(1)),
        Case::say("PRIORITY on a half-closed stream", &[gateway.get(1), priority(1)], Must::Answer(1)),
        Case::say("RST_STREAM on a half-closed stream", &[gateway.get(1), reset(1)], Must::Live),
        Case::steps("PRIORITY on a closed stream", vec![Step::Say(gateway.get(1)), Step::Hear(1), Step::Say(priority(1))], Must::Live),
    ]
}

/// A head in so many frames.
fn in_pieces(fields: &[u8], count: usize) -> Vec<u8> {
    let parts = fields.chunks(fields.len().div_ceil(count)).enumerate();
    let piece = |(at, part)| match at {
        0 => frame(HEADERS, END_STREAM, 1, part),
        _ => frame(CONTINUATION, if at == count - 1 { END_HEADERS } else { 0 }, 1, part),
    };
    parts.flat_map(piece).collect()
}

fn frames(gateway: &Gateway) -> Vec<Case> {
    let fields = gateway.with("GET", &[]);
    let both = END_HEADERS | END_STREAM;
    let padded = [&[4], fields.as_slice(), &[0; 4]].concat();
    let prior = [&PRIORITY_OF_NOTHING, fields.as_slice()].concat();
    let dependent = |on: u32, weight: u8| frame(PRIORITY, 0, 1, &[&on.to_be_bytes()[..], &[weight]].concat());
    let data = |text: &str| frame(DATA, 0, 1, text.as_bytes());
    vec![
        Case::say("a DATA frame", &[gateway.put(1), end(1)], Must::Answer(1)),
        Case::say("several DATA frames", &[gateway.put(1), data("a"), data("b"), end(1)], Must::Answer(1)),
        Case::say("a padded DATA frame", &[gateway.put(1), frame(DATA, END_STREAM | PADDED, 1, b"\x05body\0\0\0\0\0")], Must::Answer(1)),
        Case::say("a HEADERS frame", &[gateway.get(1)], Must::Answer(1)),
        Case::say("a padded HEADERS frame", &[frame(HEADERS, both | PADDED, 1, &padded)], Must::Answer(1)),
        Case::say("a HEADERS frame with a priority", &[frame(HEADERS, both | WITH_PRIORITY, 1, &prior)], Must::Answer(1)),
        Case::say("PRIORITY of weight 1", &[dependent(0, 0), gateway.get(1)], Must::Answer(1)),
        Case::say("PRIORITY of weight 256", &[dependent(0, 255), gateway.get(1)], Must::Answer(1)),
        Case::say("PRIORITY with a dependency", &[dependent(3, 16), gateway.get(1)], Must::Answer(1)),
        Case::say("PRIORITY with an exclusive dependency", &[dependent(0x8000_0003, 16), gateway.get(1)], Must::Answer(1)),
        Case::say("PRIORITY for an idle stream, and a request on a lower one", &[priority(7), gateway.get(1)], Must::Answer(1)),
        Case::say("RST_STREAM", &[gateway.put(1), reset(1)], Must::Live),
        Case::say("SETTINGS", &[settings(&[(3, 100)])], Must::Hear(SETTINGS, ACK, &[])),
        Case::say("PING", &[frame(PING, 0, 0, b"12345678")], Must::Hear(PING, ACK, b"12345678")),
        Case::say("GOAWAY", &[frame(GOAWAY, 0, 0, &[0; 8])], Must::LiveOrEnd),
        Case::say("WINDOW_UPDATE on the connection", &[window_update(0, 1), gateway.get(1)], Must::Answer(1)).with(&[(4, 100)]),
        Case::say("WINDOW_UPDATE on a stream", &[gateway.get(1), window_update(1, 1)], Must::Piece(1, 1)).with(&[(4, 0)]),
        Case::say("a CONTINUATION frame", &[in_pieces(&fields, 2)], Must::Answer(1)),
        Case::say("several CONTINUATION frames", &[in_pieces(&fields, 5)], Must::Answer(1)),
    ]
}

fn messages(gateway: &Gateway) -> Vec<Case> {
    let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x-after", "1")]));
    vec![
        Case::say("GET", &[gateway.get(1)], Must::Answer(1)),
        Case::say("HEAD", &[frame(HEADERS, END_HEADERS | END_STREAM, 1, &gateway.with("HEAD", &[]))], Must::Answer(1)),
        Case::say("PUT", &[gateway.put(1), end(1)], Must::Answer(1)),
        Case::say("PUT with trailers", &[gateway.put(1), frame(DATA, 0, 1, b"body"), trailers], Must::Answer(1)),
    ]
}

/// Representations of fields. Source: RFC 7541 §6.
fn fields(gateway: &Gateway) -> Vec<Case> {
    /// Its place in the static table.
    const USER_AGENT: usize = 58;
    /// The first place of the dynamic table.
    const DYNAMIC: usize = 62;
    let sound = gateway.with("GET", &[]);
    let rest: Vec<_> = gateway.fields("GET").into_iter().filter(|(name, _)| name != ":method" && name != ":scheme").collect();
    let indexed = |upper: u8, bits: u32, index: usize| [number(upper, bits, index).as_slice(), &[1], b"z"].concat();
    let new = |upper: u8| [&[upper, 1], b"x".as_slice(), &[1], b"y"].concat();
    let of = |name, blocks: &[&[u8]]| Case::say(name, &[frame(HEADERS, END_HEADERS | END_STREAM, 1, &blocks.concat())], Must::Answer(1));
    vec![
        // `:method: GET` and `:scheme: https`.
        of("an indexed field", &[&[0x82, 0x87], &block(&rest)]),
        of("a literal that is indexed, with an indexed name", &[&sound, &indexed(0x40, 6, USER_AGENT)]),
        of("a literal that is indexed, with a new name", &[&sound, &new(0x40)]),
        of("a literal that is not indexed, with an indexed name", &[&sound, &indexed(0, 4, USER_AGENT)]),
        of("a literal that is not indexed, with a new name", &[&sound, &new(0)]),
        of("a literal that is never indexed, with an indexed name", &[&sound, &indexed(0x10, 4, USER_AGENT)]),
        of("a literal that is never indexed, with a new name", &[&sound, &new(0x10)]),
        of("a field of the dynamic table", &[&sound, &new(0x40), &number(0x80, 7, DYNAMIC)]),
        of("a name of the dynamic table", &[&sound, &new(0x40), &indexed(0x40, 6, DYNAMIC)]),
        of("an update of the table's size", &[&number(0x20, 5, 0), &sound]),
        of("two updates of the table's size", &[&number(0x20, 5, 0), &number(0x20, 5, 4096), &sound]),
        // `www`, and bits of ones behind it.
        of("a text in Huffman's code", &[&sound, &[0, 1], b"x", &[0x83, 0xf1, 0xe3, 0xc7]]),
        of("an empty value", &[&sound, &literal(b"x", b"")]),
        of("a value of 5,000 bytes", &[&sound, &literal(b"x", &[b'x'; 5_000])]),
    ]
}
