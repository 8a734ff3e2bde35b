//! Paths with more than one reading: what is judged is what the backend receives, or it receives nothing.

use super::line::{Line, V};
use crate::common::client::PATIENCE;
use crate::common::installation::SHARED;
use crate::frames::{END_HEADERS, END_STREAM, HEADERS, Talk, block, frame};
use crate::table::Forms;

/// What has to come of a target.
#[derive(Debug, Clone)]
enum Must {
    /// Refused; nothing reaches the backend.
    Refuse,
    /// Exactly this target reaches the backend.
    Serve(String),
    /// The gateway itself answers, from what the caller may know; nothing reaches the backend.
    Tell,
}
use Must::{Refuse, Serve, Tell};

/// The one group in this subscription that the caller may read.
fn granted() -> String {
    format!("{}/resourceGroups/rg-backup", SHARED.subscription("granite-main"))
}

/// Behind the granted group, in front of its neighbour: one reading is permitted, and another one is not.
const ASIDE: [(&str, &str); 50] = [
    ("dots", "/../rg-private"),
    ("dots at the end", "/.."),
    ("one dot", "/./x"),
    ("three dots", "/.../x"),
    ("encoded dots", "/%2e%2e/rg-private"),
    ("half encoded dots", "/.%2E/rg-private"),
    ("dots encoded twice", "/%252e%252e/rg-private"),
    ("dots encoded three times", "/%25252e%25252e/rg-private"),
    ("dots of escapes of escapes", "/%%32%65%%32%65/rg-private"),
    ("dots and an encoded slash", "/..%2frg-private"),
    ("an encoded slash before dots", "%2f..%2frg-private"),
    ("a slash encoded twice", "%252f..%252frg-private"),
    ("an encoded slash alone", "%2Fx"),
    ("a backslash", "\\..\\rg-private"),
    ("an encoded backslash", "/%5c..%5crg-private"),
    ("a backslash encoded twice", "/%255c..%255crg-private"),
    ("dots and a semicolon", "/..;/rg-private"),
    ("dots and a parameter", "/..;x=1/rg-private"),
    ("a parameter", ";x=1/../rg-private"),
    ("an encoded semicolon", "/..%3b/rg-private"),
    ("a parameter on a segment", "/x;y"),
    ("overlong dots of two bytes", "/%c0%ae%c0%ae/rg-private"),
    ("overlong dots of three bytes", "/%e0%80%ae%e0%80%ae/rg-private"),
    ("an overlong slash", "/..%c0%afrg-private"),
    ("escapes of UTF-16", "/%u002e%u002e/rg-private"),
    ("full-width dots", "/%ef%bc%8e%ef%bc%8e/rg-private"),
    ("a full-width slash", "/..%ef%bc%8frg-private"),
    ("a one dot leader", "/%e2%80%a4%e2%80%a4/rg-private"),
    ("a division slash", "/..%e2%88%95rg-private"),
    ("an ideographic full stop", "/%e3%80%82"),
    ("a Kelvin sign", "/%e2%84%aa"),
    ("a soft hyphen", "/..%c2%ad/rg-private"),
    ("bytes that are no UTF-8", "/%ff%fe"),
    ("a null byte", "/x%00"),
    ("a null byte before dots", "/x%00/../rg-private"),
    ("a line end", "/x%0d%0aX:%20y"),
    ("a tab before dots", "/%09../rg-private"),
    ("a delete byte", "/x%7f"),
    ("a percent sign alone", "/%"),
    ("half an escape", "/%2"),
    ("an escape of letters", "/%zz"),
    ("an encoded question mark", "/x%3fapi-version=1"),
    ("an encoded number sign", "/x%23/../rg-private"),
    ("a dot at the end of a segment", "."),
    ("an encoded dot at the end of a segment", "%2e"),
    ("a blank at the end of a segment", "%20"),
    ("a plus and a dot", "/+."),
    ("a blank at the beginning of a segment", "/%20x"),
    ("dots between blanks", "/%20..%20/rg-private"),
    ("a tilde and dots", "/~/../rg-private"),
];

/// Whole targets.
fn targets() -> Vec<(&'static str, String, Must)> {
    let (own, host) = (granted(), SHARED.subscription("granite-main"));
    let id = host.trim_start_matches("/subscriptions/").to_owned();
    let with_query = |path: &str| format!("{path}?{V}");
    let refuse = |name, path: String| (name, with_query(&path), Refuse);
    let serve = |name, sent: String, received: &str| (name, with_query(&sent), Serve(with_query(received)));
    vec![
        serve("the sound path", own.clone(), &own),
        serve("an empty segment", own.replace("/resourceGroups", "//resourceGroups"), &own),
        serve("a slash at the end", format!("{own}/"), &own),
        serve("slashes at the beginning", format!("//{own}"), &own),
        serve("escaped letters", own.replace("rg-backup", "%72g%2Dbackup"), &own),
        serve("other casing of the group", own.replace("rg-backup", "RG-Backup"), &own.replace("rg-backup", "RG-Backup")),
        serve("other casing of all", own.to_uppercase(), &own.to_uppercase()),
        ("dots in the query", format!("{own}?{V}&x=/../%2e%2e/rg-private"), Serve(format!("{own}?{V}&x=/../%2e%2e/rg-private"))),
        ("a second question mark", format!("{own}?{V}&x=?/../rg-private"), Serve(format!("{own}?{V}&x=?/../rg-private"))),
        refuse("a neighbour with a longer name", format!("{own}2")),
        refuse("a neighbour with a shorter name", own.replace("rg-backup", "rg-back")),
        refuse("a neighbour with an escaped hyphen", format!("{own}%2d2")),
        refuse("a neighbour that begins with a hyphen", format!("{own}-")),
        refuse("all groups below a prefix", own.replace("rg-backup", "rg-*")),
        ("the subscription above", with_query(&host), Tell),
        refuse("an id of a subscription with one digit more", own.replace(&id, &format!("{id}0"))),
        refuse("an id of a subscription without hyphens", own.replace(&id, &id.replace('-', ""))),
        refuse("an id of a subscription in braces", own.replace(&id, &format!("%7B{id}%7D"))),
        refuse("a subscription within the group", format!("{own}{}", SHARED.subscription("alder-dev"))),
        refuse("a group within the group", format!("{own}/resourceGroups/rg-private")),
        refuse("the group within another subscription", format!("{}{own}", SHARED.subscription("alder-dev"))),
        refuse("a provider without a type", format!("{own}/providers")),
        refuse("65 segments", format!("{own}{}", "/x".repeat(65))),
        refuse("9,000 bytes", format!("{own}/{}", "x".repeat(9_000))),
        refuse("a host as the first segment", format!("//{}{own}", SHARED.client.authority())),
        refuse("a drive as the first segment", format!("/c:{own}")),
        refuse("an escaped question mark for the query", format!("{own}%3F{V}")),
        ("no query", own.clone(), Refuse),
        ("an asterisk", "*".to_owned(), Refuse),
        ("no slash at the beginning", with_query(own.trim_start_matches('/')), Refuse),
        ("a backslash at the beginning", with_query(&format!("\\{own}")), Refuse),
        ("full-width dots as they are", with_query(&format!("{own}/\u{ff0e}\u{ff0e}/rg-private")), Refuse),
        ("a letter beyond ASCII as it is", with_query(&format!("{own}/\u{e9}")), Refuse),
        ("a caret as it is", with_query(&format!("{own}/x^y")), Refuse),
        ("a fragment before the query", format!("{own}#?{V}"), Refuse),
    ]
}

/// A target with a fragment. The library of HTTP/2 cuts it off before anybody sees it, so that no two could read it in two ways behind the gateway.
fn fragment() -> String {
    format!("{}?{V}#/../rg-private", granted())
}

/// Targets that name a host, for HTTP/1.1 alone.
fn absolute(host: &str) -> Vec<(&'static str, String, Must)> {
    let (own, shouted) = (granted(), host.to_uppercase());
    let serve = || Serve(format!("{own}?{V}"));
    vec![
        ("an absolute target", format!("https://{host}{own}?{V}"), serve()),
        ("an absolute target in capitals", format!("HTTPS://{shouted}{own}?{V}"), serve()),
        ("an absolute target with a fragment", format!("https://{host}{own}?{V}#x"), Refuse),
        ("an absolute target with dots", format!("https://{host}{own}/../rg-private?{V}"), Refuse),
        ("an absolute target without a path", format!("https://{host}"), Refuse),
        ("an absolute target of http", format!("http://{host}{own}?{V}"), Refuse),
        ("an absolute target of ftp", format!("ftp://{host}{own}?{V}"), Refuse),
        ("an absolute target of somebody else", format!("https://evil.example{own}?{V}"), Refuse),
        ("an absolute target with a user", format!("https://{host}@evil.example{own}?{V}"), Refuse),
        ("an absolute target with our name as a user's password", format!("https://x:{host}@evil.example{own}?{V}"), Refuse),
        ("an absolute target with a user before our name", format!("https://x@{host}{own}?{V}"), Refuse),
        ("an absolute target with a dot behind the name", format!("https://{}{own}?{V}", host.replace(':', ".:")), Refuse),
        ("an absolute target with one slash", format!("https:/{own}?{V}"), Refuse),
        ("an absolute target with a backslash", format!("https://{host}\\@evil.example{own}?{V}"), Refuse),
        ("a host alone", host.to_owned(), Refuse),
    ]
}

impl Line {
    async fn over_http1(&self, target: &str) -> String {
        let lines = format!("Host: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n", self.host(), self.reader);
        let answers = self.say(format!("GET {target} HTTP/1.1\r\n{lines}\r\n").as_bytes(), false).await;
        answers.first().map_or_else(|| "closed".to_owned(), |answer| answer.told.clone())
    }

    async fn over_http2(&self, target: &str) -> String {
        let mut talk = Talk::open(&self.front.client).await;
        let authorization = format!("Bearer {}", self.reader);
        let fields = block(&[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", self.host()),
            (":path", target),
            ("authorization", &authorization),
        ]);
        let _sent = talk.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields)).await;
        talk.outcome(1, PATIENCE).await.to_string()
    }

    /// What reached the backend behind the first `before` requests: its targets.
    fn received(&self, before: usize) -> Vec<String> {
        let target = |head: &str| head.split(' ').nth(1).unwrap_or_default().to_owned();
        self.backend.log().arrived.iter().skip(before).map(|arrived| target(&arrived.head)).collect()
    }
}

fn check(forms: &mut Forms, name: &str, observed: &str, received: &[String], times: usize, must: &Must) {
    match must {
        Refuse => {
            forms.holds(
                name,
                !observed.contains("200") && received.is_empty(),
                &format!("it is refused, and not {observed} with {received:?}"),
            );
            forms.saw(name, observed, observed);
        }
        Tell => {
            forms.holds(name, received.is_empty(), &format!("the backend receives nothing, and not {received:?}"));
            forms.saw(name, observed, "200");
        }
        Serve(target) => {
            let expected = vec![target.clone(); times];
            forms.holds(name, received == expected, &format!("the backend receives {expected:?}, and not {received:?}"));
            forms.saw(name, observed, "200");
        }
    }
}

pub async fn paths() -> Forms {
    let (line, mut forms) = (Line::start("t11").await, Forms::default());
    let aside = ASIDE.map(|(name, tail)| (name, format!("{}{tail}?{V}", granted()), Refuse));
    for (name, target, must) in targets().into_iter().chain(aside) {
        let before = line.backend.log().arrived.len();
        let (first, second) = (line.over_http1(&target).await, line.over_http2(&target).await);
        let observed = if first == second { first } else { format!("{first}; over HTTP/2 {second}") };
        check(&mut forms, name, &observed, &line.received(before), 2, &must);
    }
    for (name, is_http1, must) in [
        ("a fragment over HTTP/1.1", true, Refuse),
        ("a fragment over HTTP/2, where it is cut off", false, Serve(format!("{}?{V}", granted()))),
    ] {
        let before = line.backend.log().arrived.len();
        let observed = if is_http1 { line.over_http1(&fragment()).await } else { line.over_http2(&fragment()).await };
        check(&mut forms, name, &observed, &line.received(before), 1, &must);
    }
    for (name, target, must) in absolute(line.host()) {
        let before = line.backend.log().arrived.len();
        let observed = line.over_http1(&target).await;
        check(&mut forms, name, &observed, &line.received(before), 1, &must);
    }
    line.front.drain().await;
    forms
}
