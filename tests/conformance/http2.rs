//! What RFC 9113 says of clients that break its rules, by the sections of RFC 7540 that `h2spec` names.

use crate::Section;
use crate::case::{Case, Gateway, Must, Step, end};
use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, WITH_PRIORITY, block, frame, frame_of_length, reset, setting, settings, window_update,
};

pub const SECTIONS: &[Section] = &[
    ("http2 3.5: the preface", preface),
    ("http2 4.1: the form of frames", form),
    ("http2 4.2: the size of frames", size),
    ("http2 4.3: blocks of fields", blocks),
    ("http2 5.1: states of streams", states),
    ("http2 5.1.1: numbers of streams", numbers),
    ("http2 5.1.2: streams at once", at_once),
    ("http2 5.3.1: dependencies", dependencies),
    ("http2 5.4.1: errors of the connection", errors),
    ("http2 5.5: extensions", extensions),
    ("http2 6.1: DATA", data),
    ("http2 6.2: HEADERS", headers),
    ("http2 6.3: PRIORITY", priority),
    ("http2 6.4: RST_STREAM", rst_stream),
    ("http2 6.5: SETTINGS", settings_frames),
    ("http2 6.5.2: settings", values),
    ("http2 6.5.3: settings in force", in_force),
    ("http2 6.7: PING", ping),
    ("http2 6.8: GOAWAY", goaway),
    ("http2 6.9: WINDOW_UPDATE", window_updates),
    ("http2 6.9.1: windows", windows),
    ("http2 6.9.2: the first window", first_window),
    ("http2 6.10: CONTINUATION", continuation),
    ("http2 7: codes", codes),
    ("http2 8.1: exchanges", exchanges),
    ("http2 8.1.2: fields", fields),
    ("http2 8.1.2.1: pseudo-header fields", pseudo),
    ("http2 8.1.2.2: fields of the connection", connection),
    ("http2 8.1.2.3: fields of requests", requests),
    ("http2 8.1.2.6: malformed messages", malformed),
    ("http2 8.2: promises", promises),
];

const PROTOCOL: &[&str] = &["PROTOCOL_ERROR"];
const STREAM_CLOSED: &[&str] = &["STREAM_CLOSED"];
const CLOSED_OR_PROTOCOL: &[&str] = &["STREAM_CLOSED", "PROTOCOL_ERROR"];
const FRAME_SIZE: &[&str] = &["FRAME_SIZE_ERROR"];
const FLOW_CONTROL: &[&str] = &["FLOW_CONTROL_ERROR"];
const COMPRESSION: &[&str] = &["COMPRESSION_ERROR"];

const WHOLE: u8 = END_HEADERS | END_STREAM;
/// The largest frame that a server takes unless it says otherwise.
const FRAME_BYTES: usize = 16_384;
const WINDOW_MAX: u32 = 0x7fff_ffff;

fn piece(stream: u32) -> Vec<u8> {
    frame(DATA, 0, stream, b"piece")
}

fn preface(_: &Gateway) -> Vec<Case> {
    vec![
        Case::say("a sound preface", &[PREFACE.to_vec(), settings(&[])], Must::Hear(SETTINGS, 0, &[])).bare(),
        Case::say("a preface that is none", &[b"INVALID CONNECTION PREFACE\r\n\r\n".to_vec()], Must::End(PROTOCOL)).bare(),
        Case::say("frames without a preface", &[settings(&[]), settings(&[]), settings(&[])], Must::End(PROTOCOL)).bare(),
    ]
}

fn form(_: &Gateway) -> Vec<Case> {
    let mut reserved = frame(PING, 0, 0, b"12345678");
    reserved.splice(5..9, 0x8000_0000_u32.to_be_bytes());
    vec![
        Case::say("a frame of an unknown kind", &[frame(0xff, 0, 0, &[0; 8])], Must::Live),
        Case::say("flags that are not defined", &[frame(PING, 0xfe, 0, b"12345678")], Must::Hear(PING, ACK, b"12345678")),
        Case::say("the reserved bit", &[reserved], Must::Hear(PING, ACK, b"12345678")),
    ]
}

fn size(gateway: &Gateway) -> Vec<Case> {
    let large = vec![0; FRAME_BYTES + 1];
    let whole = frame(DATA, END_STREAM, 1, &large[1..]);
    vec![
        Case::say("DATA as large as allowed", &[gateway.put(1), whole], Must::Answer(1)),
        Case::say("DATA larger than allowed", &[gateway.put(1), frame(DATA, END_STREAM, 1, &large)], Must::Reset(1, FRAME_SIZE)),
        Case::say("HEADERS larger than allowed", &[frame(HEADERS, WHOLE, 1, &large)], Must::End(FRAME_SIZE)),
        Case::say("SETTINGS larger than allowed", &[frame(SETTINGS, 0, 0, &setting(3, 100).repeat(2_800))], Must::End(FRAME_SIZE)),
    ]
}

fn blocks(gateway: &Gateway) -> Vec<Case> {
    let fields = gateway.with("GET", &[]);
    let begun = frame(HEADERS, END_STREAM, 1, &fields);
    vec![
        Case::say("a block that no table explains", &[frame(HEADERS, WHOLE, 1, b"\x40\x01\xff")], Must::End(COMPRESSION)),
        Case::say("PRIORITY within a block", &[begun.clone(), frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 255])], Must::End(PROTOCOL)),
        Case::say("HEADERS of another stream within a block", &[begun, gateway.get(3)], Must::End(PROTOCOL)),
    ]
}

fn states(gateway: &Gateway) -> Vec<Case> {
    let again = |stream| frame(CONTINUATION, END_HEADERS, stream, &gateway.with("GET", &[]));
    let answered = || vec![Step::Say(gateway.get(1)), Step::Hear(1)];
    let after = |bytes: Vec<u8>| [answered(), vec![Step::Say(bytes)]].concat();
    vec![
        Case::say("idle: DATA", &[end(1)], Must::End(PROTOCOL)),
        Case::say("idle: RST_STREAM", &[reset(1)], Must::End(PROTOCOL)),
        Case::say("idle: WINDOW_UPDATE", &[window_update(1, 100)], Must::End(PROTOCOL)),
        Case::say("idle: CONTINUATION", &[again(1)], Must::End(PROTOCOL)),
        Case::say("half closed: DATA", &[gateway.get(1), end(1)], Must::Reset(1, STREAM_CLOSED)),
        Case::say("half closed: HEADERS", &[gateway.get(1), gateway.get(1)], Must::Reset(1, STREAM_CLOSED)),
        Case::say("half closed: CONTINUATION", &[gateway.get(1), again(1)], Must::Reset(1, CLOSED_OR_PROTOCOL)),
        Case::say("closed by RST_STREAM: DATA", &[gateway.put(1), reset(1), end(1)], Must::Reset(1, STREAM_CLOSED)),
        Case::say("closed by RST_STREAM: HEADERS", &[gateway.put(1), reset(1), gateway.get(1)], Must::Reset(1, STREAM_CLOSED)),
        Case::say("closed by RST_STREAM: CONTINUATION", &[gateway.put(1), reset(1), again(1)], Must::Reset(1, CLOSED_OR_PROTOCOL)),
        Case::steps("closed by END_STREAM: DATA", after(end(1)), Must::Reset(1, STREAM_CLOSED)),
        Case::steps("closed by END_STREAM: HEADERS", after(gateway.get(1)), Must::End(STREAM_CLOSED)),
        Case::steps("closed by END_STREAM: CONTINUATION", after(again(1)), Must::End(CLOSED_OR_PROTOCOL)),
    ]
}

fn numbers(gateway: &Gateway) -> Vec<Case> {
    vec![
        Case::say("an even number", &[gateway.get(2)], Must::End(PROTOCOL)),
        Case::say("a number lower than one before", &[gateway.put(5), gateway.get(3)], Must::End(PROTOCOL)),
    ]
}

fn at_once(gateway: &Gateway) -> Vec<Case> {
    let open: Vec<Vec<u8>> = (0..101).map(|n| gateway.put(2 * n + 1)).collect();
    vec![Case::say("a stream more than allowed", &open, Must::Reset(201, &["PROTOCOL_ERROR", "REFUSED_STREAM"]))]
}

fn dependencies(gateway: &Gateway) -> Vec<Case> {
    let itself = [&[0, 0, 0, 1, 255], gateway.with("GET", &[]).as_slice()].concat();
    vec![
        Case::say("HEADERS that depend on themselves", &[frame(HEADERS, WHOLE | WITH_PRIORITY, 1, &itself)], Must::Reset(1, PROTOCOL)),
        Case::say("PRIORITY that depends on itself", &[frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 255])], Must::Reset(1, PROTOCOL)),
    ]
}

fn errors(_: &Gateway) -> Vec<Case> {
    let odd = frame(PING, 0, 3, &[0; 8]);
    vec![
        Case::say("the connection is closed behind an error", std::slice::from_ref(&odd), Must::End(PROTOCOL)),
        Case::say("GOAWAY tells the error", &[odd], Must::Hear(GOAWAY, 0, &[0, 0, 0, 0, 0, 0, 0, 1])),
    ]
}

fn extensions(gateway: &Gateway) -> Vec<Case> {
    let begun = frame(HEADERS, END_STREAM, 1, &gateway.with("GET", &[]));
    vec![
        Case::say("an unknown frame", &[frame(0x16, 0, 0, &[0; 8])], Must::Live),
        Case::say("an unknown frame within a block", &[begun, frame(0x16, 0, 0, &[0; 8])], Must::End(PROTOCOL)),
    ]
}

fn data(gateway: &Gateway) -> Vec<Case> {
    vec![
        Case::say("on no stream", &[gateway.put(1), end(0)], Must::End(PROTOCOL)),
        Case::say("on a stream that is not open", &[gateway.get(1), end(1)], Must::Reset(1, STREAM_CLOSED)),
        Case::say(
            "padding longer than the frame",
            &[gateway.put(1), frame(DATA, END_STREAM | PADDED, 1, b"\x06body")],
            Must::End(PROTOCOL),
        ),
    ]
}

fn headers(gateway: &Gateway) -> Vec<Case> {
    let fields = gateway.with("GET", &[]);
    let begun = frame(HEADERS, END_STREAM, 1, &fields);
    let padded = [&[255], &fields[..100]].concat();
    vec![
        Case::say("PRIORITY before the end of the block", &[begun.clone(), frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 255])], Must::End(PROTOCOL)),
        Case::say("HEADERS before the end of the block", &[begun, gateway.get(3)], Must::End(PROTOCOL)),
        Case::say("on no stream", &[gateway.get(0)], Must::End(PROTOCOL)),
        Case::say("padding longer than the frame", &[frame(HEADERS, WHOLE | PADDED, 1, &padded)], Must::End(PROTOCOL)),
    ]
}

fn priority(gateway: &Gateway) -> Vec<Case> {
    vec![
        Case::say("on no stream", &[frame(PRIORITY, 0, 0, &[0, 0, 0, 0, 255])], Must::End(PROTOCOL)),
        Case::say("of four bytes", &[gateway.put(1), frame(PRIORITY, 0, 1, &[0; 4])], Must::Reset(1, FRAME_SIZE)),
    ]
}

fn rst_stream(gateway: &Gateway) -> Vec<Case> {
    vec![
        Case::say("on no stream", &[reset(0)], Must::End(PROTOCOL)),
        Case::say("on an idle stream", &[reset(1)], Must::End(PROTOCOL)),
        Case::say("of three bytes", &[gateway.put(1), frame(RST_STREAM, 0, 1, &[0; 3])], Must::End(FRAME_SIZE)),
    ]
}

fn settings_frames(gateway: &Gateway) -> Vec<Case> {
    vec![
        Case::say("an acknowledgement with a payload", &[frame(SETTINGS, ACK, 0, &[0])], Must::End(FRAME_SIZE)),
        Case::say("on a stream", &[gateway.put(1), frame(SETTINGS, 0, 1, &setting(3, 100))], Must::End(PROTOCOL)),
        Case::say("of three bytes", &[frame(SETTINGS, 0, 0, &[0, 3, 0])], Must::End(FRAME_SIZE)),
    ]
}

fn values(_: &Gateway) -> Vec<Case> {
    vec![
        Case::say("ENABLE_PUSH that is neither 0 nor 1", &[settings(&[(2, 2)])], Must::End(PROTOCOL)),
        Case::say("INITIAL_WINDOW_SIZE beyond its maximum", &[settings(&[(4, WINDOW_MAX + 1)])], Must::End(FLOW_CONTROL)),
        Case::say("MAX_FRAME_SIZE below its minimum", &[settings(&[(5, 16_383)])], Must::End(PROTOCOL)),
        Case::say("MAX_FRAME_SIZE beyond its maximum", &[settings(&[(5, 16_777_216)])], Must::End(PROTOCOL)),
        Case::say("an unknown setting", &[settings(&[(0xff, 1)])], Must::Live),
    ]
}

fn in_force(gateway: &Gateway) -> Vec<Case> {
    vec![
        Case::say("the last of several values counts", &[settings(&[(4, 100), (4, 1)]), gateway.get(1)], Must::Piece(1, 1)),
        Case::say("settings are acknowledged", &[settings(&[(3, 100)])], Must::Hear(SETTINGS, ACK, &[])),
    ]
}

fn ping(gateway: &Gateway) -> Vec<Case> {
    let acknowledged = frame(PING, ACK, 0, b"no answr");
    vec![
        Case::say("is answered", &[frame(PING, 0, 0, b"12345678")], Must::Hear(PING, ACK, b"12345678")),
        Case::say("an answer is not answered", &[acknowledged, frame(PING, 0, 0, b"12345678")], Must::Hear(PING, ACK, b"12345678")),
        Case::say("on a stream", &[gateway.put(1), frame(PING, 0, 1, &[0; 8])], Must::End(PROTOCOL)),
        Case::say("of six bytes", &[frame(PING, 0, 0, &[0; 6])], Must::End(FRAME_SIZE)),
    ]
}

fn goaway(_: &Gateway) -> Vec<Case> {
    vec![Case::say("on a stream", &[frame(GOAWAY, 0, 1, &[0; 8])], Must::End(PROTOCOL))]
}

fn window_updates(gateway: &Gateway) -> Vec<Case> {
    vec![
        Case::say("of nothing, on the connection", &[window_update(0, 0)], Must::End(PROTOCOL)),
        Case::say("of nothing, on a stream", &[gateway.put(1), window_update(1, 0)], Must::Reset(1, PROTOCOL)),
        Case::say("of three bytes", &[frame(WINDOW_UPDATE, 0, 0, &[0; 3])], Must::End(FRAME_SIZE)),
    ]
}

fn windows(gateway: &Gateway) -> Vec<Case> {
    let too_large = |stream| [window_update(stream, WINDOW_MAX), window_update(stream, WINDOW_MAX)].concat();
    vec![
        Case::say("no more is sent than there is room for", &[gateway.get(1)], Must::Piece(1, 1)).with(&[(4, 1)]),
        Case::say("the connection's beyond its maximum", &[too_large(0)], Must::End(FLOW_CONTROL)),
        Case::say("a stream's beyond its maximum", &[gateway.put(1), too_large(1)], Must::Reset(1, FLOW_CONTROL)),
    ]
}

fn first_window(gateway: &Gateway) -> Vec<Case> {
    let smaller = [settings(&[(4, 2)]), window_update(1, 2)].concat();
    let below_zero = vec![Step::Say(gateway.get(1)), Step::Piece(1, 3), Step::Say(smaller)];
    vec![
        Case::say("is changed behind a request", &[gateway.get(1), settings(&[(4, 1)])], Must::Piece(1, 1)).with(&[(4, 0)]),
        Case::steps("below zero, and room again", below_zero, Must::Piece(1, 1)).with(&[(4, 3)]),
        Case::say("beyond its maximum", &[settings(&[(4, WINDOW_MAX + 1)])], Must::End(FLOW_CONTROL)),
    ]
}

fn continuation(gateway: &Gateway) -> Vec<Case> {
    let fields = gateway.with("GET", &[]);
    let (first, rest) = fields.split_at(20);
    let (second, third) = rest.split_at(20);
    let begun = frame(HEADERS, END_STREAM, 1, first);
    let more = |flags, stream, part: &[u8]| frame(CONTINUATION, flags, stream, part);
    vec![
        Case::say("several", &[begun.clone(), more(0, 1, second), more(END_HEADERS, 1, third)], Must::Answer(1)),
        Case::say("another frame behind one", &[begun.clone(), more(0, 1, second), end(1)], Must::End(PROTOCOL)),
        Case::say("on no stream", &[begun, more(END_HEADERS, 0, rest)], Must::End(PROTOCOL)),
        Case::say("behind a whole block", &[gateway.put(1), more(END_HEADERS, 1, rest)], Must::End(PROTOCOL)),
        Case::say(
            "behind the last one",
            &[frame(HEADERS, 0, 1, first), more(END_HEADERS, 1, rest), more(END_HEADERS, 1, rest)],
            Must::End(PROTOCOL),
        ),
        Case::say("behind DATA", &[gateway.put(1), piece(1), more(END_HEADERS, 1, rest)], Must::End(PROTOCOL)),
    ]
}

fn codes(gateway: &Gateway) -> Vec<Case> {
    vec![
        Case::say("GOAWAY of an unknown code", &[frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff])], Must::LiveOrEnd),
        Case::say("RST_STREAM of an unknown code", &[gateway.put(1), frame(RST_STREAM, 0, 1, &[0, 0, 0, 0xff])], Must::Live),
    ]
}

fn exchanges(gateway: &Gateway) -> Vec<Case> {
    let second = frame(HEADERS, END_HEADERS, 1, &block(&[("x-after", "1")]));
    vec![Case::say("a second block that does not end the stream", &[gateway.put(1), piece(1), second], Must::Reset(1, PROTOCOL))]
}

/// A request of these fields.
fn of(name: &'static str, fields: &[u8]) -> Case {
    Case::say(name, &[frame(HEADERS, WHOLE, 1, fields)], Must::Reset(1, PROTOCOL))
}

fn fields(gateway: &Gateway) -> Vec<Case> {
    vec![of("capitals in a name", &gateway.with("GET", &[("X-TEST", "ok")]))]
}

fn pseudo(gateway: &Gateway) -> Vec<Case> {
    let fields = block(&[(":method", "POST")]);
    let (trailers, endless) = (frame(HEADERS, WHOLE, 1, &fields), frame(HEADERS, END_HEADERS, 1, &fields));
    vec![
        of("an unknown one", &gateway.with("GET", &[(":test", "ok")])),
        of("one of an answer", &gateway.with("GET", &[(":status", "200")])),
        Case::say("one in trailers that do not end the stream", &[gateway.put(1), piece(1), endless], Must::Reset(1, PROTOCOL)),
        // The library drops it, as the gateway drops all trailers.
        Case::say("one in trailers", &[gateway.put(1), piece(1), trailers], Must::Overlook(1)),
        of("one behind other fields", &[gateway.without(":path"), block(&[(":path", "/")])].concat()),
    ]
}

fn connection(gateway: &Gateway) -> Vec<Case> {
    vec![
        of("connection", &gateway.with("GET", &[("connection", "keep-alive")])),
        of("te that is not trailers", &gateway.with("GET", &[("trailers", "test"), ("te", "trailers, deflate")])),
    ]
}

fn requests(gateway: &Gateway) -> Vec<Case> {
    vec![
        of("an empty :path", &gateway.changed(":path", "")),
        of("no :method", &gateway.without(":method")),
        of("no :scheme", &gateway.without(":scheme")),
        of("no :path", &gateway.without(":path")),
        of("two :method", &gateway.doubled(":method")),
        of("two :scheme", &gateway.doubled(":scheme")),
        of("two :path", &gateway.doubled(":path")),
    ]
}

fn malformed(gateway: &Gateway) -> Vec<Case> {
    let announced = frame(HEADERS, END_HEADERS, 1, &gateway.with("PUT", &[("content-length", "1")]));
    vec![
        Case::say("a length that one DATA frame exceeds", &[announced.clone(), end(1)], Must::Reset(1, PROTOCOL)),
        Case::say("a length that several DATA frames exceed", &[announced, frame(DATA, 0, 1, b"a"), end(1)], Must::Reset(1, PROTOCOL)),
    ]
}

fn promises(gateway: &Gateway) -> Vec<Case> {
    let promise = [&[0, 0, 0, 2], gateway.with("GET", &[]).as_slice()].concat();
    let cut = frame_of_length(4, PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]);
    vec![
        Case::say("a client promises", &[frame(PUSH_PROMISE, END_HEADERS, 1, &promise)], Must::End(PROTOCOL)),
        Case::say("a client promises nothing", &[gateway.put(1), cut], Must::End(PROTOCOL)),
    ]
}
