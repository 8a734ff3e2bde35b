//! What comes over the wire in a form that no well-behaved peer sends.

use crate::table::threats;

#[path = "backend_faults.rs"]
mod backend_faults;
#[path = "exhaustion.rs"]
mod exhaustion;
#[path = "http1.rs"]
mod http1;
#[path = "http2.rs"]
mod http2;
#[path = "life.rs"]
mod life;
#[path = "line.rs"]
mod line;
#[path = "paths.rs"]
mod paths;
#[path = "tls.rs"]
mod tls;

threats! {
    t11_a_path_has_one_reading_or_none = paths::paths,
        "path confusion: dots, slashes and escapes one to three deep, backslashes, semicolons, overlong and compatibility characters, fragments, \
         absolute targets, neighbours by prefix, scopes within scopes, casing; sent over HTTP/1.1 and HTTP/2",
        "each segment is decoded once and compared whole; what could be read in a second way is refused, and the canonical path is what the \
         backend receives";
    t18_no_request_hides_behind_another = http1::smuggling,
        "request smuggling and tunnels over HTTP/1.1: lengths and transfer codings that disagree, odd chunks, heads and versions, upgrades, \
         expectations, bodies that nobody reads; behind each stands another request that would be permitted",
        "what has two readings is refused and nothing behind it is read; what has one arrives whole, once, in the gateway's own framing";
    t19_no_odd_http2_message_gets_through = http2::messages,
        "HTTP/2 messages that are none, or would be two in HTTP/1.1: line ends and null bytes in fields, fields of the connection, pseudo-header \
         fields that are missing, doubled, late or unknown, lengths that lie, trailers, streams out of order",
        "the stream is refused or reset, or the connection is ended; the backend receives nothing whole of it";
    t20_floods_wear_out_their_own_connection_only = exhaustion::floods,
        "exhaustion: streams taken back, frames that cost nothing to send, heads that never end, tables that swell, windows that stay shut, \
         heads and bodies a byte at a time, connections that say nothing",
        "the connection is ended or served within its bounds, and requests on other connections are answered all the while";
    t27_a_faulty_backend_is_told_and_forgotten = backend_faults::faults,
        "faults of the backend: refused, reset, silent, dripping and cut connections, answers with wrong lengths, surplus or several heads, \
         bursts of 1xx, an unasked 101, heads without end, idle connections that close",
        "502 or 504 in time; a cut answer never looks whole; a write is sent once, a read at most once more; the next request is served";
    t28_no_request_is_lost_between_start_and_stop = life::life,
        "stops and reloads under load, broken policies, revocation on open connections",
        "what was accepted is answered, a broken set changes nothing, what is revoked is refused from the next request on";
    t29_tls_is_modern_or_refused = tls::handshakes,
        "TLS: old versions, weak and absent suites, plain HTTP, broken hellos and records, early data, renegotiation, server names and protocols \
         that are not ours",
        "TLS 1.2 and 1.3 with forward secrecy and authenticated encryption; anything else ends with an alert, and nothing is redirected";
}
