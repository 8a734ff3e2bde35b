//! The places that the text of a request names besides the one that its path addresses.
//!
//! A body is data of whoever provides the resource, so no list of properties could say where ids stand. Every text in it is looked at instead, names
//! of members included: whatever a reader could take for a subscription or a management group, decoded, with doubled or turned slashes, in any case,
//! is one.
//!
//! An id by itself says nothing of what it is of. It counts where a name says so: that of the member that it stands in or below, that beside it in a
//! pair of name and value, or the word before it in a text. Texts that are JSON documents are looked into like the body.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use unicode_normalization::UnicodeNormalization;

use super::action::{Action, NotAnAction};
use super::scope::Scope;
use crate::ids::SubscriptionId;

/// Places that a request may name besides its own.
const PLACES_MAX: usize = 1000;
/// What looks like the beginning of an id in one document.
const STARTS_MAX: usize = 4000;
/// An id; no path of the management plane is longer.
const ID_BYTES_MAX: usize = 2048;
/// Objects and arrays inside each other.
const DEPTH_MAX: usize = 64;
/// How often a text is decoded: as often as a careless reader might.
const DECODINGS_MAX: usize = 3;
/// Members inside each other between the one that names subscriptions and an id.
const LEVELS_MAX: u8 = 4;
/// JSON documents inside each other's texts.
const DOCUMENTS_MAX: u8 = 2;
/// Letters and digits between the word for a subscription and its id: `Id in tolower` and the like.
const BETWEEN_MAX: usize = 24;

/// A body or query that cannot be read in one way only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// The places that a JSON document names and that are not the request's own, without repetitions.
///
/// # Errors
/// When it is no JSON document, is deeper than 64 levels, has a name twice in one object, names more than 1,000 other places, or one of them in a way
/// that has two readings.
pub fn in_json(text: &[u8], own: &Scope) -> Result<Vec<Scope>, Unreadable> {
    let mut places = Places::of(own);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let walk = Walk { places: &mut places, depth: 0, documents: 0, said: Said::Nothing };
    walk.deserialize(&mut reader).and_then(|_is_name| reader.end()).map_err(|cause| Unreadable(cause.to_string()))?;
    Ok(places.found)
}

/// The places that a query names and that are not the request's own.
///
/// # Errors
/// As for [`in_json`].
pub fn in_query(query: &str, own: &Scope) -> Result<Vec<Scope>, Unreadable> {
    if query.len() < SHORTEST {
        return Ok(Vec::new());
    }
    let mut places = Places::of(own);
    for pair in query.split('&') {
        places.look_at_pair(pair)?;
        // Not every reader takes it for a blank.
        if pair.contains('+') {
            places.look_at_pair(&pair.replace('+', " "))?;
        }
    }
    Ok(places.found)
}

/// What whoever makes a request refer to a place has to be permitted there; nothing for what cannot be a place.
#[must_use]
pub fn actions_on(place: &Scope) -> Option<Vec<Action>> {
    let segments: Vec<&str> = place.segments().collect();
    let blocks = blocks(&segments);
    let mut actions: Vec<Action> = Vec::new();
    for block in &blocks {
        actions.extend(joining(block).ok()?);
    }
    if actions.is_empty() {
        let core: &[&str] = match (blocks.last().map(Vec::as_slice), segments.as_slice()) {
            (Some([_namespace]), _) => &["Microsoft.Resources", "subscriptions", "providers"],
            (Some(block), _) => block,
            (None, [groups, _name, ..]) if is(groups, "resourceGroups") => &["Microsoft.Resources", "subscriptions", "resourceGroups"],
            (None, _) if place.subscription_id().is_some() => &["Microsoft.Resources", "subscriptions"],
            (None, _) => &["Microsoft.Management", "managementGroups"],
        };
        actions.push(action(&[core, &["read"]].concat()).ok()?);
    }
    Some(actions)
}

/// Provider and types of every provider that is named, in order.
fn blocks<'s>(segments: &[&'s str]) -> Vec<Vec<&'s str>> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    let mut rest = segments;
    loop {
        rest = match rest {
            [] => return blocks,
            [word, namespace, tail @ ..] if is(word, "providers") => {
                blocks.push(vec![namespace]);
                tail
            }
            [kind, tail @ ..] => {
                if let Some(block) = blocks.last_mut() {
                    block.push(kind);
                }
                tail.get(1..).unwrap_or_default()
            }
        };
    }
}

/// The action for making something part of what a block names, or of what that lies in: a longer id is no way around it.
fn joining(block: &[&str]) -> Result<Option<Action>, NotAnAction> {
    for length in (2..=block.len()).rev() {
        let kind = block.get(..length).unwrap_or_default();
        let key = kind.join("/").to_ascii_lowercase();
        if let Ok(at) = JOINED.binary_search_by(|(joined, _)| (*joined).cmp(key.as_str())) {
            let verb = JOINED.get(at).map_or("join", |(_, verb)| verb);
            return action(&[kind, &[verb, "action"]].concat()).map(Some);
        }
    }
    Ok(None)
}

fn action(words: &[&str]) -> Result<Action, NotAnAction> {
    words.join("/").parse()
}

fn is(word: &str, known: &str) -> bool {
    word.eq_ignore_ascii_case(known)
}

/// Whether a place is the request's own, a part of what it makes, or what that lies in. A subscription is more than a surrounding: what is said of
/// all of it is said of what belongs to others.
fn is_own(place: &Scope, own: &Scope) -> bool {
    let is_thing = || own.segments().any(|segment| is(segment, "providers"));
    let lies_around = place.covers(own) && place.resource_group_name().is_some();
    place == own || lies_around || is_thing() && own.covers(place)
}

/// Types that others are made part of, in lower case, and the action for that; of the rest, reading is enough.
/// Source: operations of the resource providers, 2026-11.
const JOINED: [(&str, &str); 70] = [
    ("microsoft.app/connectedenvironments", "join"),
    ("microsoft.app/managedenvironments", "join"),
    ("microsoft.azurestackhci/logicalnetworks", "join"),
    ("microsoft.azurestackhci/networksecuritygroups", "join"),
    ("microsoft.azurestackhci/virtualnetworks", "join"),
    ("microsoft.classicnetwork/networksecuritygroups", "join"),
    ("microsoft.classicnetwork/reservedips", "join"),
    ("microsoft.classicnetwork/virtualnetworks", "join"),
    ("microsoft.connectedvmwarevsphere/virtualnetworks", "join"),
    ("microsoft.hybridnetwork/devices", "join"),
    ("microsoft.keyvault/vaults", "deploy"),
    ("microsoft.logic/integrationaccounts", "join"),
    ("microsoft.logic/integrationserviceenvironments", "join"),
    ("microsoft.logic/integrationserviceenvironments/managedapis", "join"),
    ("microsoft.machinelearning/commitmentplans", "join"),
    ("microsoft.managedidentity/userassignedidentities", "assign"),
    ("microsoft.managednetworkfabric/networkfabriccontrollers", "join"),
    ("microsoft.managednetworkfabric/networkfabrics", "join"),
    ("microsoft.managednetworkfabric/networkracks", "join"),
    ("microsoft.network/applicationgateways/backendaddresspools", "join"),
    ("microsoft.network/applicationsecuritygroups", "joinIpConfiguration"),
    ("microsoft.network/customipprefixes", "join"),
    ("microsoft.network/ddosprotectionplans", "join"),
    ("microsoft.network/dnsforwardingrulesets", "join"),
    ("microsoft.network/dnsresolvers", "join"),
    ("microsoft.network/dnsresolvers/inboundendpoints", "join"),
    ("microsoft.network/dnsresolvers/outboundendpoints", "join"),
    ("microsoft.network/dscpconfiguration", "join"),
    ("microsoft.network/expressroutecircuits", "join"),
    ("microsoft.network/expressroutecrossconnections", "join"),
    ("microsoft.network/expressroutegateways", "join"),
    ("microsoft.network/expressrouteports", "join"),
    ("microsoft.network/firewallpolicies", "join"),
    ("microsoft.network/frontdoorwebapplicationfirewallpolicies", "join"),
    ("microsoft.network/ipgroups", "join"),
    ("microsoft.network/loadbalancers/backendaddresspools", "join"),
    ("microsoft.network/loadbalancers/frontendipconfigurations", "join"),
    ("microsoft.network/loadbalancers/frontendipconfigurations/loadbalancerpools", "join"),
    ("microsoft.network/loadbalancers/inboundnatpools", "join"),
    ("microsoft.network/loadbalancers/inboundnatrules", "join"),
    ("microsoft.network/loadbalancers/probes", "join"),
    ("microsoft.network/natgateways", "join"),
    ("microsoft.network/networkintentpolicies", "join"),
    ("microsoft.network/networkinterfaces", "join"),
    ("microsoft.network/networkinterfaces/ipconfigurations", "join"),
    ("microsoft.network/networkmanagers/networkgroups", "join"),
    ("microsoft.network/networksecuritygroups", "join"),
    ("microsoft.network/networksecurityperimeters/profiles", "join"),
    ("microsoft.network/privatednszones", "join"),
    ("microsoft.network/publicipaddresses", "join"),
    ("microsoft.network/publicipprefixes", "join"),
    ("microsoft.network/routefilters", "join"),
    ("microsoft.network/routetables", "join"),
    ("microsoft.network/securitypartnerproviders", "join"),
    ("microsoft.network/serviceendpointpolicies", "join"),
    ("microsoft.network/virtualnetworks", "join"),
    ("microsoft.network/virtualnetworks/subnets", "join"),
    ("microsoft.network/virtualnetworktaps", "join"),
    ("microsoft.network/virtualrouters", "join"),
    ("microsoft.network/virtualwans", "join"),
    ("microsoft.networkcloud/racks", "join"),
    ("microsoft.scvmm/virtualnetworks", "join"),
    ("microsoft.vmware/virtualnetworks", "join"),
    ("microsoft.web/connectiongateways", "join"),
    ("microsoft.web/connections", "join"),
    ("microsoft.web/customapis", "join"),
    ("microsoft.web/hostingenvironments", "join"),
    ("microsoft.web/kubeenvironments", "join"),
    ("microsoft.web/locations/managedapis", "join"),
    ("microsoft.web/serverfarms", "join"),
];

/// No shorter text names a place: `subscription=` and 32 digits. Decoding makes none longer.
const SHORTEST: usize = 45;

/// The places found so far.
#[derive(Debug)]
struct Places<'o> {
    own: &'o Scope,
    found: Vec<Scope>,
    known: HashSet<String>,
    starts: usize,
    /// Texts of values whose name may come behind them.
    unnamed: Vec<String>,
}

impl<'o> Places<'o> {
    fn of(own: &'o Scope) -> Self {
        Self { own, found: Vec::new(), known: HashSet::new(), starts: 0, unnamed: Vec::new() }
    }

    /// Finds what a name and a value in a query name.
    fn look_at_pair(&mut self, pair: &str) -> Result<(), Unreadable> {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        self.look_at(name)?;
        self.look_at(value)?;
        // Folded last: a word with an odd letter must not go with the segments that are taken out.
        if folded(&decoded_fully(pair).to_lowercase().replace("subscriptions/", "")).contains(SUBSCRIPTION) {
            self.bare_ids_seen(pair)?;
        }
        Ok(())
    }

    /// Finds what a text names, in every form that it has after decoding.
    fn look_at(&mut self, text: &str) -> Result<(), Unreadable> {
        if text.len() < SHORTEST {
            return Ok(());
        }
        if is_plain(text) {
            return self.scan(text.trim());
        }
        if self.look_through(text, str::to_owned)? {
            // An escape may come apart by what its reader does not see, so that goes before each decoding.
            self.look_through(text, visible)?;
        }
        Ok(())
    }

    /// Scans every form of a text: after so many decodings, each of what is read of the one before; and as its segments read
    /// without what some readers drop. Says whether something in one of them is not seen by everybody.
    fn look_through(&mut self, text: &str, read: fn(&str) -> String) -> Result<bool, Unreadable> {
        let (mut text, mut hides) = (read(text), false);
        for _ in 0..=DECODINGS_MAX {
            hides |= visible(&text) != text;
            let flat = flattened(&text);
            self.scan(&flat)?;
            let bare = flattened(&bare_segments(&flat));
            if bare != flat {
                self.scan(&bare)?;
            }
            match decoded(&text) {
                Some(other) => text = read(&other),
                None => break,
            }
        }
        Ok(hides)
    }

    fn scan(&mut self, text: &str) -> Result<(), Unreadable> {
        let is_id = ["/subscriptions/", "subscriptions/", "/providers/", "providers/"].into_iter().any(|start| begins(text, 0, start));
        if has_dots_in_url(text) {
            return Err(two_readings());
        }
        // What one reach holds is looked at once, however many ids stand in it; of an id all, for dots may hide the word that it would begin with.
        let mut looked_at = if is_id { 0..all_of_one_reading(reach(text, false))? } else { 0..0 };
        for (at, word) in starts(text) {
            self.starts += 1;
            if self.starts > STARTS_MAX {
                return Err(Unreadable(format!("more than {STARTS_MAX} texts look like ids")));
            }
            let from = at + word.len();
            let behind = text.get(from..).unwrap_or_default();
            if !looked_at.contains(&from) {
                looked_at = from..from + all_of_one_reading(reach(behind, !is_id))?;
            }
            let Some((anchor, behind)) = anchor(word, behind)? else { continue };
            self.add_below(&anchor, behind, true)?;
            if is_id {
                self.add_below(&anchor, behind, false)?;
            }
        }
        Ok(())
    }

    /// The place that an anchor and what stands behind it name, up to what ends an id in the middle of other text or not.
    fn add_below(&mut self, anchor: &[String], behind: &str, ends_early: bool) -> Result<(), Unreadable> {
        let below = if behind.starts_with('/') { reach(behind, ends_early) } else { "" };
        if below.len() > ID_BYTES_MAX {
            return Err(Unreadable(format!("an id of more than {ID_BYTES_MAX} bytes is named")));
        }
        let mut segments: Vec<&str> = anchor.iter().map(String::as_str).collect();
        segments.extend(below.split('/').filter(|segment| !segment.is_empty()));
        match Scope::from_segments(&segments) {
            Ok(place) => self.add(place),
            Err(_not_a_place) => Ok(()),
        }
    }

    /// Every id of a subscription that stands in a text by itself.
    fn bare_ids(&mut self, text: &str) -> Result<(), Unreadable> {
        if has_id_for_few(text) {
            return Err(for_few());
        }
        bare(text).try_for_each(|(_, _, id)| self.add_bare(id))
    }

    /// The same in what a text is once decoded, for those who see all of it and for those who do not.
    fn bare_ids_seen(&mut self, text: &str) -> Result<(), Unreadable> {
        in_forms(text, |form| self.bare_ids(form))
    }

    /// Every id in a text that stands below a member that names subscriptions. One behind a slash is part of a path, which says itself what it is of.
    fn ids_below_seen(&mut self, text: &str) -> Result<(), Unreadable> {
        in_forms(text, |form| {
            if has_id_for_few(form) {
                return Err(for_few());
            }
            let outside = bare(form).filter(|(at, ..)| !form.get(..*at).is_some_and(|before| before.ends_with(['/', '\\'])));
            outside.into_iter().try_for_each(|(_, _, id)| self.add_bare(id))
        })
    }

    /// Every id that a text says to be of a subscription: `SubscriptionId=…;`, `subscriptionId in ('…', '…')`.
    fn ids_told(&mut self, text: &str) -> Result<(), Unreadable> {
        if text.len() < SHORTEST || is_expression(text) {
            return Ok(());
        }
        in_forms(text, |form| if tells(form) { self.ids_told_in(&form.to_ascii_lowercase()) } else { Ok(()) })
    }

    fn ids_told_in(&mut self, text: &str) -> Result<(), Unreadable> {
        if has_id_for_few(text) {
            return Err(for_few());
        }
        let (mut end, mut is_told) = (0, false);
        for (at, word, id) in bare(text) {
            let between = text.get(end..at).unwrap_or_default();
            is_told = match between.rsplit_once(SUBSCRIPTION) {
                Some((_, behind)) => letters(behind) <= BETWEEN_MAX && !is_of_others(behind) && !behind.contains('/'),
                // Of a list of ids, only the first has the word before it.
                None => is_told && letters(between) == 0,
            };
            end = at + word.len();
            if is_told {
                self.add_bare(id)?;
            }
        }
        Ok(())
    }

    fn add_bare(&mut self, id: SubscriptionId) -> Result<(), Unreadable> {
        if self.own.subscription_id() == Some(id) { Ok(()) } else { self.add(Scope::subscription(id)) }
    }

    fn add(&mut self, place: Scope) -> Result<(), Unreadable> {
        if is_own(&place, self.own) || !self.known.insert(place.to_string().to_ascii_lowercase()) {
            return Ok(());
        }
        if self.found.len() == PLACES_MAX {
            return Err(Unreadable(format!("more than {PLACES_MAX} other places are named")));
        }
        self.found.push(place);
        Ok(())
    }
}

/// The length of a text in which nothing stands that others would resolve or not see.
fn all_of_one_reading(text: &str) -> Result<usize, Unreadable> {
    if text.split('/').any(is_odd) { Err(two_readings()) } else { Ok(text.len()) }
}

const SUBSCRIPTION: &str = "subscription";
/// As OData writes the key of an entity. Source: OData 4.01, part 2, section 4.3.1.
const KEYED: &str = "subscriptions(";
const WORDS: [&str; 3] = ["subscriptions/", KEYED, "providers/microsoft.management/managementgroups/"];

/// What else has ids. An id behind such a word, or in a member with such a name, is not a subscription's for what stands around them.
const OTHERS: [&str; 31] = [
    "appid",
    "application",
    "assignment",
    "billing",
    "client",
    "correlationid",
    "customer",
    "definition",
    "directory",
    "etag",
    "group",
    "key",
    "objectid",
    "offer",
    "operationid",
    "owner",
    "password",
    "plan",
    "policy",
    "principal",
    "product",
    "publisher",
    "requestid",
    "role",
    "secret",
    "sku",
    "tenant",
    "token",
    "user",
    "version",
    "workspace",
];

fn is_of_others(name: &str) -> bool {
    OTHERS.iter().any(|other| name.contains(other))
}

/// Whether all that such a name is given to is of subscriptions. It is not when it goes on to something else, and when it is an id.
fn is_of_subscriptions(name: &str) -> bool {
    name.rsplit_once(SUBSCRIPTION).is_some_and(|(_, behind)| !is_of_others(behind) && !behind.contains('/'))
}

/// Whether a text has the word for a subscription, in any case.
fn tells(text: &str) -> bool {
    memchr::memchr2_iter(b's', b'S', text.as_bytes()).any(|at| begins(text, at, SUBSCRIPTION))
}

fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).count()
}

/// Whether a text is an expression of a template, which the gateway leaves to those who evaluate it: `[guid(subscription().id, '…')]`.
fn is_expression(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or_default();
    let function = inner.trim_start_matches('[').split_once('(').map_or("", |(function, _)| function);
    !function.is_empty() && function.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
}

/// Whether a text is a JSON document with members or items.
fn is_document(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<de::IgnoredAny>(text).is_ok()
}

/// Looks at what a text is, at what it is once decoded, and at what those see of that who do not see all of it.
fn in_forms(text: &str, mut look: impl FnMut(&str) -> Result<(), Unreadable>) -> Result<(), Unreadable> {
    look(text)?;
    if is_plain(text) {
        return Ok(());
    }
    let decoded = decoded_fully(text);
    if decoded != text {
        look(&decoded)?;
    }
    let seen = visible(&decoded);
    if seen == decoded { Ok(()) } else { look(&seen) }
}

/// The ids that stand in a text by themselves: where, as what, and which.
fn bare(text: &str) -> impl Iterator<Item = (usize, &str, SubscriptionId)> {
    let is_between = |c: char| !c.is_ascii_hexdigit() && c != '-';
    let words = text.split_inclusive(is_between).scan(0, move |end, piece| {
        let at = *end;
        *end += piece.len();
        Some((at, piece.trim_end_matches(is_between)))
    });
    words.filter(|(_, word)| word.len() >= DIGITS).filter_map(|(at, word)| match guid(word) {
        Some((id, "")) => Some((at, word, id)),
        _ => None,
    })
}

/// Digits of an id.
const DIGITS: usize = 32;

/// Where ids begin in a text: at a word that is none's end.
fn starts(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    let candidates = memchr::memchr3_iter(b's', b'S', b'p', text.as_bytes()).chain(memchr::memchr_iter(b'P', text.as_bytes()));
    candidates.filter_map(move |at| {
        let is_inside = at.checked_sub(1).and_then(|before| text.as_bytes().get(before)).is_some_and(u8::is_ascii_alphanumeric);
        let word = WORDS.into_iter().find(|word| begins(text, at, word))?;
        (!is_inside).then_some((at, word))
    })
}

/// The segments of an anchor, and what stands behind it. Whatever stands around the digits of an id, its readers take it away.
fn anchor<'t>(word: &str, behind: &'t str) -> Result<Option<(Vec<String>, &'t str)>, Unreadable> {
    if word == "subscriptions/" || word == KEYED {
        let before = behind.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '{' | '(' | '/' | '"' | '\''));
        let Some((id, rest)) = guid(before) else {
            return if has_prefixed_groups(before) || lists_numbers(before) { Err(for_few()) } else { Ok(None) };
        };
        // Keys of what lies below it are no segments: all of it is judged.
        let rest = if word == KEYED { "" } else { rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '}' | ')')) };
        return Ok(Some((vec!["subscriptions".to_owned(), id.to_string()], rest)));
    }
    let name = behind.split(|c: char| c == '/' || ends_id(c) || matches!(c, '?' | '#')).next().filter(|name| !name.is_empty());
    Ok(name.map(|name| {
        let anchor = ["providers", "Microsoft.Management", "managementGroups", name].map(str::to_owned);
        (anchor.into(), behind.get(name.len()..).unwrap_or_default())
    }))
}

/// The id that a text begins with, with hyphens or without, and the rest.
fn guid(text: &str) -> Option<(SubscriptionId, &str)> {
    let (mut digits, mut end) = (String::with_capacity(36), 0);
    for byte in text.bytes().take(36) {
        match byte {
            _ if digits.len() == 32 => break,
            b'-' => {}
            digit => digits.push(char::from(digit)),
        }
        end += 1;
    }
    let rest = text.get(end..)?;
    if rest.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    // What has too few digits, or anything else among them, does not parse.
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    let hyphenated = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-");
    Some((hyphenated.parse().ok()?, rest))
}

/// Whether an id stands in a text in one of the forms that only some readers take for one.
fn has_id_for_few(text: &str) -> bool {
    if memchr::memchr3(b'+', b'x', b'X', text.as_bytes()).is_none() {
        return false;
    }
    let is_between = |c: char| !c.is_ascii_hexdigit() && !matches!(c, '-' | '+' | 'x' | 'X');
    let has_prefixed = |word: &str| word.char_indices().any(|(at, _)| word.get(at..).is_some_and(has_prefixed_groups));
    text.split(is_between).any(has_prefixed) || text.split('{').skip(1).any(lists_numbers)
}

/// Whether a text begins with an id that has `+` or `0x` in front of digits: the last group is two there.
/// Source: .NET runtime, `Guid.TryCompatParsing`.
fn has_prefixed_groups(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_group = |from: usize, to: usize| bytes.get(from..to).is_some_and(|group| digits_of(group).iter().all(u8::is_ascii_hexdigit));
    let is_hyphen = |at: usize| bytes.get(at) == Some(&b'-');
    is_group(0, 8)
        && [8, 13, 18, 23].into_iter().all(is_hyphen)
        && [(9, 13), (14, 18), (19, 23), (24, 28), (28, 36)].into_iter().all(|(from, to)| is_group(from, to))
        && bytes.iter().take(36).any(|byte| matches!(byte, b'+' | b'x' | b'X'))
}

fn digits_of(group: &[u8]) -> &[u8] {
    let unsigned = group.strip_prefix(b"+").unwrap_or(group);
    unsigned.strip_prefix(b"0x").or_else(|| unsigned.strip_prefix(b"0X")).unwrap_or(unsigned)
}

/// Whether a text begins like an id as a list of numbers, behind its brace: `0x8f2c1a10,0x0000,…`; blanks do not count.
/// Source: .NET, `Guid.ToString`, format X.
fn lists_numbers(text: &str) -> bool {
    let mut seen = text.chars().filter(|c| !c.is_whitespace());
    seen.next() == Some('0')
        && matches!(seen.next(), Some('x' | 'X'))
        && seen.find(|c| !c.is_ascii_hexdigit() && !matches!(c, 'x' | 'X' | '+')) == Some(',')
}

fn for_few() -> Unreadable {
    Unreadable("an id of a subscription is named in a form that not every reader takes for one".to_owned())
}

fn begins(text: &str, at: usize, word: &str) -> bool {
    text.as_bytes().get(at..).and_then(|rest| rest.get(..word.len())).is_some_and(|begun| begun.eq_ignore_ascii_case(word.as_bytes()))
}

/// How far an id may go on here.
fn reach(behind: &str, ends_early: bool) -> &str {
    behind.split(|c: char| matches!(c, '?' | '#') || ends_early && ends_id(c)).next().unwrap_or_default()
}

/// What ends an id in the middle of other text.
fn ends_id(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '"' | '\'' | '`' | '<' | '>' | '&' | ',' | ';' | '|' | '{' | '}' | '[' | ']' | '=' | '@' | '$')
}

fn is_odd(segment: &str) -> bool {
    is_dots(segment) || segment.chars().any(char::is_control)
}

/// Readers of URLs leave out control characters.
fn is_dots(segment: &str) -> bool {
    let seen = || segment.chars().filter(|c| !c.is_control());
    seen().eq(".".chars()) || seen().eq("..".chars())
}

/// Whether dots lead elsewhere for a reader who takes all of a text for one URL. Such a reader resolves them first, so what ends an id in the middle
/// of other text is no end of its path.
fn has_dots_in_url(text: &str) -> bool {
    let text = text.trim_start_matches(['<', '(', '"', '\'', '`']);
    let behind_scheme = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c.is_control() || matches!(c, '+' | '-' | '.'));
    // Of two slashes one is left when the text comes here.
    let is_url = behind_scheme.starts_with(":/") || text.starts_with('/');
    let behind_id = |part| starts(part).next().and_then(|(at, word)| str::get(part, at + word.len()..));
    is_url && text.split(['?', '#']).filter_map(behind_id).any(|behind| behind.split('/').any(is_dots))
}

fn two_readings() -> Unreadable {
    Unreadable("an id is named that has two readings: dots or control characters stand in it".to_owned())
}

/// Whether a text is what it looks like for every reader, which most are.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends_plainly = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        !matches!(before, Some(b'/' | b'.' | b' ')) && bytes.get(at + 1) != Some(&b' ')
    };
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'%' | b'&' | b'\\' | b';'))
        && memchr::memchr_iter(b'/', bytes).all(ends_plainly)
        && !(matches!(bytes.last(), Some(b'.' | b' ')) && bytes.contains(&b'/'))
}

/// With slashes as they are meant to be.
fn flattened(text: &str) -> String {
    let mut flat = String::with_capacity(text.len());
    for c in text.trim().chars() {
        let c = if c == '\\' { '/' } else { c };
        if c != '/' || !flat.ends_with('/') {
            flat.push(c);
        }
    }
    flat
}

/// Without what cannot be seen, and with our letters in place of those that some readers take for them: wide ones, mathematical ones and other
/// compatible ones, and those that only become ours by way of the upper case. Source: Unicode Standard Annex 15, NFKC.
fn visible(text: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control() && !is_invisible(*c)) {
        match c {
            'ı' => seen.push('i'),
            _ if !c.is_ascii() && std::iter::once(c).nfkc().all(|ours| ours.is_ascii()) => seen.extend(std::iter::once(c).nfkc()),
            _ => seen.push(c),
        }
    }
    seen
}

/// Source: Unicode, `DerivedCoreProperties.txt`, `Default_Ignorable_Code_Point`.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// With each segment as it is without what stands behind a semicolon, blanks around it and dots at its end: some readers drop them.
/// Source: RFC 3986, section 3.3; Windows, "Naming Files, Paths, and Namespaces".
fn bare_segments(text: &str) -> String {
    text.split('/').map(bare_segment).collect::<Vec<_>>().join("/")
}

fn bare_segment(segment: &str) -> &str {
    let name = segment.split(';').next().unwrap_or_default().trim();
    let bare = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    // Nothing but dots stays what it is: it leads elsewhere.
    if bare.is_empty() { name } else { bare }
}

/// A name as a reader compares it who does not look at case. There are letters that only become ours by way of the upper case.
fn folded(name: &str) -> String {
    if name.is_ascii() { name.to_ascii_lowercase() } else { visible(name).to_uppercase().to_lowercase() }
}

fn decoded_fully(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..DECODINGS_MAX {
        match decoded(&text) {
            Some(other) => text = other,
            None => break,
        }
    }
    text
}

/// The text with its escapes undone once: `%XX`, `%uXXXX`, `\\uXXXX` and character references. What is none stays. Nothing when there was nothing to
/// undo.
fn decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let (mut at, mut is_changed) = (0, false);
    while let Some(byte) = bytes.get(at) {
        let digits = |from: usize, count: usize| {
            let digits = bytes.get(at + from..at + from + count).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        let has_u = matches!(bytes.get(at + 1), Some(b'u' | b'U'));
        let undone = match byte {
            b'%' | b'\\' if has_u => digits(2, 4).and_then(char::from_u32).map(|c| (c.to_string().into_bytes(), 6)),
            b'%' => digits(1, 2).and_then(|value| u8::try_from(value).ok()).map(|value| (vec![value], 3)),
            b'&' => referred(text.get(at + 1..).unwrap_or_default()).map(|(c, length)| (c.to_string().into_bytes(), length + 1)),
            _ => None,
        };
        match undone {
            Some((value, length)) => {
                out.extend_from_slice(&value);
                (at, is_changed) = (at + length, true);
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    is_changed.then(|| String::from_utf8_lossy(&out).into_owned())
}

/// Characters of ids and of escapes that HTML has names for, and those names.
const NAMED: [(&str, char); 26] = [
    ("AMP", '&'),
    ("AMP;", '&'),
    ("NewLine;", '\n'),
    ("NoBreak;", '\u{2060}'),
    ("QUOT", '"'),
    ("QUOT;", '"'),
    ("Tab;", '\t'),
    ("ZeroWidthSpace;", '\u{200b}'),
    ("amp", '&'),
    ("amp;", '&'),
    ("bsol;", '\\'),
    ("lbrace;", '{'),
    ("lcub;", '{'),
    ("lpar;", '('),
    ("num;", '#'),
    ("percnt;", '%'),
    ("period;", '.'),
    ("plus;", '+'),
    ("quot", '"'),
    ("quot;", '"'),
    ("semi;", ';'),
    ("shy", '\u{ad}'),
    ("shy;", '\u{ad}'),
    ("sol;", '/'),
    ("zwj;", '\u{200d}'),
    ("zwnj;", '\u{200c}'),
];

/// The character that a reference means, and the length of what stands behind its `&`. The semicolon may be left out behind digits.
/// Source: HTML, section 13.2.5.72, "Character reference state".
fn referred(text: &str) -> Option<(char, usize)> {
    let Some(number) = text.strip_prefix('#') else {
        let named = NAMED.into_iter().filter(|(name, _)| text.starts_with(name)).max_by_key(|(name, _)| name.len());
        return named.map(|(name, c)| (c, name.len()));
    };
    let (digits, radix) = number.strip_prefix(['x', 'X']).map_or((number, 10), |digits| (digits, 16));
    let rest = digits.trim_start_matches(|c: char| c.is_digit(radix));
    let c = char::from_u32(u32::from_str_radix(digits.get(..digits.len() - rest.len())?, radix).ok()?)?;
    Some((c, text.len() - rest.strip_prefix(';').unwrap_or(rest).len()))
}

/// What the names around a value say of the ids that stand in it by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    /// They are of subscriptions when a name behind the value says so, so many members deep.
    Unnamed(u8),
    /// They are of subscriptions by what stands around their member, so many members deep.
    Around(u8),
    /// They are of subscriptions by the member itself; what lies below it is, so many members deep.
    Here(u8),
}

impl Said {
    /// What is said of the value of a member, by its name as [`folded`] has it; `is_named` when a name before it in its object names subscriptions.
    fn of(self, member: &str, is_named: bool) -> Self {
        if member.contains(SUBSCRIPTION) {
            return Self::Here(if is_of_subscriptions(member) { LEVELS_MAX } else { 0 });
        }
        let says_nothing = matches!(member, "id" | "ids" | "key" | "keys" | "name" | "value" | "values");
        let is_value = member.contains("value");
        match self {
            Self::Here(_) if says_nothing => self,
            _ if !says_nothing && is_of_others(member) => Self::Nothing,
            _ if is_value && is_named => Self::Around(LEVELS_MAX),
            Self::Here(levels) | Self::Around(levels) if levels > 0 => Self::Around(levels - 1),
            _ if is_value => Self::Unnamed(LEVELS_MAX),
            Self::Unnamed(levels) if levels > 0 => Self::Unnamed(levels - 1),
            Self::Nothing | Self::Unnamed(_) | Self::Around(_) | Self::Here(_) => Self::Nothing,
        }
    }
}

/// Looks at one value and all that is in it, and says whether it is a text that names subscriptions.
struct Walk<'p, 'o> {
    places: &'p mut Places<'o>,
    depth: usize,
    /// Documents in texts around it.
    documents: u8,
    said: Said,
}

impl<'o> Walk<'_, 'o> {
    fn deeper<E: de::Error>(&mut self, said: Said) -> Result<Walk<'_, 'o>, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Walk { places: self.places, depth: self.depth + 1, documents: self.documents, said })
    }

    /// Finds the ids in a text of which the names around it say what they are.
    fn look_at_ids(&mut self, text: &str) -> Result<(), Unreadable> {
        match self.said {
            Said::Here(_) => self.places.bare_ids_seen(text),
            Said::Around(_) => self.places.ids_below_seen(text),
            Said::Unnamed(_) => {
                self.places.unnamed.push(text.to_owned());
                Ok(())
            }
            Said::Nothing => Ok(()),
        }
    }

    fn look_at_name(&mut self, name: &str) -> Result<(), Unreadable> {
        self.places.look_at(name)?;
        self.places.ids_told(name)?;
        self.look_at_ids(name)
    }

    fn look_at_text(&mut self, text: &str) -> Result<(), Unreadable> {
        self.places.look_at(text)?;
        if self.documents < DOCUMENTS_MAX && is_document(text) {
            return self.look_into(text);
        }
        self.places.ids_told(text)?;
        self.look_at_ids(text)
    }

    /// Looks at a document that is a text, which says by itself what its ids are of unless the member of the text does.
    fn look_into(&mut self, document: &str) -> Result<(), Unreadable> {
        if let Said::Here(_) = self.said {
            self.look_at_ids(document)?;
        }
        let said = self.said;
        let unreadable = |cause: serde_json::Error| Unreadable(cause.to_string());
        let mut inner = self.deeper(said).map_err(unreadable)?;
        inner.documents += 1;
        inner.deserialize(&mut serde_json::Deserializer::from_str(document)).map_err(unreadable)?;
        Ok(())
    }

    /// Finds what the values name whose name came behind them, and forgets them otherwise unless there may be a name for what lies around.
    fn look_back(&mut self, from: usize, is_named: bool) -> Result<(), Unreadable> {
        if is_named {
            return self.places.unnamed.split_off(from).iter().try_for_each(|text| self.places.ids_below_seen(text));
        }
        if !matches!(self.said, Said::Unnamed(_)) {
            self.places.unnamed.truncate(from);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = bool;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _value: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _value: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _value: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _value: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E: de::Error>(mut self, value: &str) -> Result<bool, E> {
        self.look_at_text(value).map_err(E::custom)?;
        Ok(value.len() >= SUBSCRIPTION.len() && is_of_subscriptions(&folded(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<bool, A::Error> {
        let said = self.said;
        while items.next_element_seed(self.deeper(said)?)?.is_some() {}
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<bool, A::Error> {
        let (mut names, mut is_named) = (HashSet::new(), false);
        let from = self.places.unnamed.len();
        while let Some(name) = entries.next_key::<String>()? {
            self.look_at_name(&name).map_err(de::Error::custom)?;
            let member = folded(&name);
            if !names.insert(name) {
                return Err(de::Error::custom("a name stands twice in one object"));
            }
            let said = self.said.of(&member, is_named);
            let names_subscriptions = entries.next_value_seed(self.deeper(said)?)?;
            is_named |= names_subscriptions && matches!(member.as_str(), "name" | "key");
        }
        self.look_back(from, is_named).map_err(de::Error::custom)?;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "8f2c1a10-0000-4000-8000-00000000000a";

    fn own() -> Scope {
        Scope::parse("/subscriptions/0f2c1a10-0000-4000-8000-000000000001/resourceGroups/rg/providers/A.B/c/d").unwrap()
    }

    #[track_caller]
    fn check(json: &str, expected: &[&str]) {
        let found = in_json(json.replace('~', A).as_bytes(), &own()).unwrap_or_else(|wrong| panic!("{json}: {wrong}"));
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        let expected: Vec<String> = expected.iter().map(|place| place.replace('~', A)).collect();
        assert_eq!(found, expected, "{json}");
    }

    #[test]
    fn ids_are_found_wherever_they_stand() {
        let subnet = "/subscriptions/~/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets/s";
        check(&format!(r#"{{"properties":{{"subnet":{{"id":"{subnet}"}}}}}}"#), &[subnet]);
        check(&format!(r#"{{"identity":{{"userAssignedIdentities":{{"{subnet}":{{}}}}}}}}"#), &[subnet]);
        check(&format!(r#"["{subnet}","{subnet}"]"#), &[subnet]);
        check(r#""https://management.azure.com/subscriptions/~/resourceGroups/rg?api-version=1""#, &["/subscriptions/~/resourceGroups/rg"]);
        check(r#""see '/subscriptions/~/resourceGroups/rg', or else""#, &["/subscriptions/~/resourceGroups/rg"]);
        check(
            r#"{"a":"/providers/Microsoft.Management/managementGroups/mg/providers/Microsoft.Authorization/policyDefinitions/p"}"#,
            &["/providers/Microsoft.Management/managementGroups/mg/providers/Microsoft.Authorization/policyDefinitions/p"],
        );
    }

    #[test]
    fn ids_are_found_however_they_are_written() {
        for text in [
            "subscriptions/~",
            "/SUBSCRIPTIONS/~",
            "//subscriptions//~/",
            r"\\subscriptions\\~",
            r"\u002fsubscr\u0069ptions\u002f~",
            "%2Fsubscriptions%2f~",
            "%252Fsubscriptions%252F~",
            "  /subscriptions/~  ",
            "x=/subscriptions/~",
            "/tenants/t/subscriptions/~",
            "/subscriptions/{~}",
            "/subscriptions/ ~ ",
            "/subscriptions/8f2c1a100000400080000000 0000000a /subscriptions/8f2c1a1000004000800000000000000a",
            "%2Fsubscriptions%2F~%2F?x=%",
            "%u002fsubscriptions%u002f~",
            "/subscriptions/0f2c1a10-0000-4000-8000-000000000001,/subscriptions/~,/subscriptions/0f2c1a10-0000-4000-8000-000000000001",
        ] {
            let found = in_json(format!(r#"{{"id":"{}"}}"#, text.replace('~', A)).as_bytes(), &own()).unwrap();
            assert!(found.contains(&Scope::subscription(A.parse().unwrap())), "{text}: {found:?}");
        }
    }

    #[test]
    fn ids_end_where_their_readers_could_see_an_end() {
        let group = "/subscriptions/~/resourceGroups/rg";
        check(r#""/subscriptions/8f2c1a1000004000800000000000000a/resourceGroups/rg""#, &[group]);
        check(r#""/subscriptions/{~}/resourceGroups/rg""#, &[group]);
        check(r#""/subscriptions/(~ ) /resourceGroups/rg""#, &[group]);
        check(r#""see /subscriptions/~/resourceGroups/rg or else""#, &[group]);
        for id in [group, "subscriptions/~/resourceGroups/rg"] {
            check(&format!(r#""{id} or else""#), &[group, &format!("{group} or else")]);
        }
        let management_group = "/providers/Microsoft.Management/managementGroups/mg";
        check(r#""/providers//Microsoft.Management//managementGroups//mg""#, &[management_group]);
        check(&format!(r#""{management_group}?api-version=1""#), &[management_group]);
        check(&format!(r#""see {management_group}, or else""#), &[management_group]);
        let thing = format!("{management_group}/providers/A.B/c/d");
        check(&format!(r#""{thing} or else""#), &[&thing, &format!("{thing} or else")]);
    }

    #[test]
    fn bare_ids_count_where_they_are_said_to_be_of_subscriptions() {
        check(r#"{"subscriptionId":"~"}"#, &["/subscriptions/~"]);
        check(r#"{"targetSubscriptionIds":["~"]}"#, &["/subscriptions/~"]);
        check(r#"{"principalId":"~"}"#, &[]);
        check(r#"{"subscriptions":"all of them"}"#, &[]);
        check(r#"{"subscription":{"id":"~"}}"#, &["/subscriptions/~"]);
        check(r#"{"subscriptions":{"~":{}}}"#, &["/subscriptions/~"]);
        check(r#"{"subscriptionIds":"x,{~}"}"#, &["/subscriptions/~"]);
        check(r#"{"ſubscriptionId":"8f2c1a1000004000800000000000000a"}"#, &["/subscriptions/~"]);
        check("{\"\u{1d42c}ub\u{fe0f}scriptionId\":\"~\"}", &["/subscriptions/~"]);
        check("{\"subscriptionId\":\"8f2c1a10-0000-4000-\u{fe0f}8000-00000000000a\"}", &["/subscriptions/~"]);
        check(r#"{"subscriptions":{"%38f2c1a10-0000-4000-8000-00000000000a":{}}}"#, &["/subscriptions/~"]);
        check(r#"{"subscriptionId":"0f2c1a10-0000-4000-8000-000000000001"}"#, &[]);
    }

    const FOUND: &[&str] = &["/subscriptions/~"];

    #[test]
    fn bare_ids_count_below_members_that_name_subscriptions() {
        for json in [
            r#"{"subscriptionId":{"type":"string","defaultValue":"~"}}"#,
            r#"{"subscription":{"properties":{"id":"~"}}}"#,
            r#"{"subscription":{"guid":"~"}}"#,
            r#"{"subscription":{"a":{"key":"~"}}}"#,
            r#"{"subscriptions":[{"uuid":"x, ~"}]}"#,
            r#"{"subscription":{"properties":{"~":1}}}"#,
            r#"{"subscription":{"x":"%38f2c1a10-0000-4000-8000-00000000000a"}}"#,
            "{\"subscription\":{\"x\":\"8f2c1a10-0000-4000-\u{fe0f}8000-00000000000a\"}}",
            r#"{"subscription":{"a":{"b":{"c":{"d":"~"}}}}}"#,
            r#"{"subscription":{"value":[{"id":{"key":{"a":{"b":{"c":{"d":"~"}}}}}}]}}"#,
            r#"{"tenant":{"subscription":{"guid":"~"}}}"#,
            r#"{"subscriptionTenantId":"~"}"#,
        ] {
            check(json, FOUND);
        }
        for json in [
            r#"{"subscription":{"a":{"b":{"c":{"d":{"e":"~"}}}}}}"#,
            r#"{"subscription":{"tenantId":"~","principalId":"~","ObjectId":"~","clientId":"~","applicationId":"~"}}"#,
            r#"{"subscription":{"tenant":{"id":"~"}}}"#,
            r#"{"subscription":{"a":"/workflows/~","b":"c:\\~"}}"#,
            r#"{"subscription":{"guid":"0f2c1a10-0000-4000-8000-000000000001"}}"#,
            r#"{"subscriptionRoles":{"reader":"~"}}"#,
            r#"{"/subscriptions/0f2c1a10-0000-4000-8000-000000000001/resourceGroups/rg":{"x":"~"}}"#,
            r#"{"a":{"guid":"~"}}"#,
        ] {
            check(json, &[]);
        }
        assert!(in_json(br#"{"subscription":{"x":"8f2c1a10-0000-4000-8000-0000+000000a"}}"#, &own()).is_err());
    }

    #[test]
    fn bare_ids_count_in_the_value_of_a_pair_whose_name_is_of_subscriptions() {
        for json in [
            r#"[{"name":"subscriptionId","value":"~"}]"#,
            r#"[{"value":"~","name":"subscriptionId"}]"#,
            r#"{"key":"AZURE_SUBSCRIPTION_ID","value":"~"}"#,
            r#"{"Value":"8f2c1a1000004000800000000000000a","Key":"subscription"}"#,
            r#"{"name":"\u017fubscriptionId","values":["x","~"]}"#,
            r#"{"defaultValue":{"a":{"guid":"~"}},"name":"subscriptions"}"#,
            r#"{"name":"subscriptionId","key":"x","value":"~"}"#,
            r#"{"name":"subscriptionId","key":"subscriptionId","value":"~"}"#,
            r#"{"value":[{"name":"subscriptionId","value":"~"}]}"#,
            r#"{"value":{"value":"~","name":"x"},"name":"subscriptionId"}"#,
            r#"{"value":{"a":{"b":{"c":{"d":"~"}}}},"name":"subscriptionId"}"#,
            r#"{"name":"subscriptionId","value":{"a":{"b":{"c":{"d":"~"}}}}}"#,
            r#"{"subscription":{"a":{"b":{"name":"subscriptionId","value":{"a":{"b":{"c":"~"}}}}}}}"#,
            r#"{"value":{"a":{"b":{"c":{"d":{"e":{"value":"~","name":"subscriptionId"}}}}}}}"#,
        ] {
            check(json, FOUND);
        }
        for json in [
            r#"[{"name":"tenantId","value":"~"}]"#,
            r#"[{"value":"~","name":"tenantId"},{"name":"subscriptionId"}]"#,
            r#"{"a":{"value":"~"},"name":"subscriptionId"}"#,
            r#"{"type":"subscriptionId","value":"~"}"#,
            r#"{"name":["subscriptionId"],"value":"~"}"#,
            r#"{"name":{"a":"subscriptionId"},"value":"~"}"#,
            r#"{"name":true,"value":"~"}"#,
            r#"{"name":1,"value":"~"}"#,
            r#"{"name":-1,"value":"~"}"#,
            r#"{"name":1.5,"value":"~"}"#,
            r#"{"name":null,"value":"~"}"#,
            r#"{"name":"subscriptionTenantId","value":"~"}"#,
            r#"{"name":"Ocp-Apim-Subscription-Key","value":"8f2c1a1000004000800000000000000a"}"#,
            r#"{"name":"/subscriptions/0f2c1a10-0000-4000-8000-000000000001/resourceGroups/rg","value":"~"}"#,
            r#"{"name":"subscriptionId","id":"~","secretValue":"~"}"#,
            r#"{"value":"a/~","name":"subscriptionId"}"#,
            r#"{"value":{"tenantId":"~"},"name":"subscriptionId"}"#,
            r#"{"value":{"a":{"b":{"c":{"d":{"e":"~"}}}}},"name":"subscriptionId"}"#,
            r#"{"name":"subscriptionId","value":{"a":{"b":{"c":{"d":{"e":"~"}}}}}}"#,
        ] {
            check(json, &[]);
        }
    }

    #[test]
    fn bare_ids_count_behind_the_word_in_a_text() {
        for text in [
            "SubscriptionId=~;ResourceGroup=rg",
            "subscriptionId eq '~'",
            "subscription=8f2c1a1000004000800000000000000a",
            "SubscriptionId%3D~;",
            "x: sub\u{ad}scription ~",
            "subscriptionId in~ ('0f2c1a10-0000-4000-8000-000000000001', '~')",
            "TenantId=9f2c1a10-0000-4000-8000-00000000000b;SubscriptionId=~",
            "subscription aaaaaaaaaaaaaaaaaaaaaaaz ~",
            "subscription and another subscription ~",
            "[subscription Id('~')]",
            "[('subscriptionId', '~')]",
            "[subscriptionId=~]",
            "[concat('subscriptionId=','~')",
            "{subscriptionId: ~}",
            "{\\\"subscriptionId\\\": ~}",
        ] {
            check(&format!("{{\"a\":\"{text}\"}}"), FOUND);
            check(&format!("{{\"{text}\":1}}"), FOUND);
        }
        for text in [
            "a subscription aaaaaaaaaaaaaaaaaaaaaaaaz ~",
            "SubscriptionId=0f2c1a10-0000-4000-8000-000000000001;Id=~",
            "SubscriptionName=x;TenantId=~",
            "Ocp-Apim-Subscription-Key: ~",
            "the id ~ and no other",
            "9f2c1a10-0000-4000-8000-00000000000b, ~ and a subscription",
            "x=8f2c1a10-0000-4000-8000-0000+000000a and more of them",
            "/subscription/~ and more",
            "see /subscriptions/0f2c1a10-0000-4000-8000-000000000001/resourceGroups/rg, ~",
            "/subscriptions/0f2c1a10-0000-4000-8000-000000000001/resourceGroups/rg/providers/A.B/c/d/my-subscription/~",
            "[guid(subscription().id, '~')]",
            "[[guid(subscription().id, '~')]",
            "[my.id(subscription().id, '~')]",
        ] {
            check(&format!("{{\"a\":\"{text}\"}}"), &[]);
        }
        assert!(in_json(br#"["SubscriptionId=8f2c1a10-0000-4000-8000-0000+000000a;"]"#, &own()).is_err());
    }

    #[test]
    fn documents_in_texts_are_looked_into() {
        let within = |json: &str| serde_json::Value::from(json).to_string();
        let pair = r#" {"value":"~","name":"subscriptionId"}"#;
        let (once, twice) = (within(pair), within(&format!("[{}]", within(pair))));
        check(&format!("{{\"a\":{once}}}"), FOUND);
        check(&format!("{{\"a\":{twice}}}"), FOUND);
        check(&format!("[{}]", within(&format!("[{twice}]"))), &[]);
        check(&format!("[{}]", within(r#"{"subscriptionId":"~"}"#)), FOUND);
        check(&format!("{{\"subscriptionId\":{}}}", within(r#"{"tenantId":"~"}"#)), FOUND);
        check(&format!("{{\"subscription\":{{\"a\":{}}}}}", within(r#"{"b":"~"}"#)), FOUND);
        check(&format!("{{\"subscription\":{{\"a\":{}}}}}", within(r#"{"tenantId":"~"}"#)), &[]);
        check(&format!("{{\"value\":{},\"name\":\"subscriptionId\"}}", within(r#"{"b":"~"}"#)), FOUND);
        // As a text it would have the word just before the id.
        check(&format!("[{}]", within(r#"{"name":"Subscription","id":"~"}"#)), &[]);
        check(&format!("[{}]", within(r#"{"name":"Subscription","id":"~""#)), FOUND);
        for wrong in [r#"{"a":1,"a":2}"#, &format!("{}{}", "[".repeat(63), "]".repeat(63))] {
            assert!(in_json(format!("[{}]", within(wrong)).as_bytes(), &own()).is_err(), "{wrong}");
        }
        assert!(in_json(format!("[{}]", within(&format!("{}{}", "[".repeat(62), "]".repeat(62)))).as_bytes(), &own()).is_ok());
    }

    #[test]
    fn keys_of_entities_are_ids() {
        for text in [
            "/subscriptions('~')/resourceGroups('rg')/x",
            "/subscriptions(~)/x",
            "https://a/Subscriptions%28'~'%29",
            "/subscriptions(guid='~')",
        ] {
            check(&format!("[\"{text}\"]"), FOUND);
        }
        check("[\"/subscriptions('~')/resourceGroups/rg\"]", FOUND);
        check("[\"/subscriptions('x')\"]", &[]);
        assert!(in_json(b"[\"/subscriptions('8f2c1a10-0000-4000-8000-0000+000000a')\"]", &own()).is_err());
    }

    #[test]
    fn what_names_no_place_is_nobodys_business() {
        for text in [
            "/subscriptions/not-an-id",
            "subscriptions",
            "/subscriptions/",
            "/subscriptions/~0",
            "/subscriptions/8f2c1a10-0000-4000-8000-00000000000",
            "/subscriptions/8f2c1a10-0000-4000-8000-00000000000g",
            "/subscriptions/8f2c1a10-0000-4000-8000-0000000000é",
            "mysubscriptions/~",
            "/providers/Microsoft.Authorization/roleDefinitions/~",
        ] {
            check(&format!(r#"{{"a":"{text}","b":[1,2.5,true,null]}}"#), &[]);
        }
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        for text in [r#"{"a":1,"\u0061":2}"#, "{}{}", "{", "", "\u{feff}{}", &deep] {
            assert!(in_json(text.as_bytes(), &own()).is_err(), "{text}");
        }
        assert!(in_json(b"\"\xff\"", &own()).is_err());
        in_json(format!("{}{}", "[".repeat(64), "]".repeat(64)).as_bytes(), &own()).unwrap();
        let whole = "/subscriptions/0f2c1a10-0000-4000-8000-000000000001";
        let beside = format!("/subscriptions/x/../{A}");
        for odd in [
            beside,
            format!("/subscriptions/./{A}"),
            format!("{whole}/../{A}/resourceGroups/x"),
            format!("{whole}/./resourceGroups/x"),
            format!("{whole}/%2e%2e/{A}"),
            format!("{whole}/resourceGroups/a b/../c"),
            format!("see {whole} and /subscriptions/x/../{A}"),
            // However far behind.
            format!("/subscriptions/{}/../{A}", "x".repeat(3000)),
            format!("https://management.azure.com/subscriptions/{}/../{A}", "x".repeat(3000)),
            format!("{whole},{}/../{A}", "x".repeat(3000)),
            // Where they hide the word that it would begin with.
            "/providers/./Microsoft.Management/managementGroups/a-group-of-somebody-else".to_owned(),
            "/providers/x/../Microsoft.Management/managementGroups/a-group-of-somebody-else".to_owned(),
            "providers/x/%2e%2e/Microsoft.Management/managementGroups/a-group-of-somebody-else".to_owned(),
        ] {
            assert!(in_json(format!("[\"{odd}\"]").as_bytes(), &own()).is_err(), "{odd}");
        }
        check(r#""see /subscriptions/~ or a/../b""#, &["/subscriptions/~"]);
    }

    #[test]
    fn dots_in_a_url_are_refused_behind_whatever_would_end_an_id() {
        let host = "https://management.azure.com";
        for odd in [
            format!("{host}/subscriptions/{{x}}/../~/resourceGroups/g"),
            format!("{host}/subscriptions/x@y/../~/resourceGroups/g"),
            format!("{host}/subscriptions/x=y/../~"),
            format!("{host}/subscriptions/x,y/./~"),
            format!("{host}/subscriptions/$x/../~"),
            format!("{host}/subscriptions/x y/../~"),
            format!("  {host}/subscriptions/0f2c1a10-0000-4000-8000-000000000001;/../~"),
            format!("{host}/subscriptions/{{x}}/subscriptions/~/.."),
            format!("{host}/subscriptions/{{x}}/..?/subscriptions/~"),
            format!("{host}/a?b=/subscriptions/{{x}}/../~"),
            format!("{host}/a#/subscriptions/{{x}}/../~"),
            format!("{host}/providers/Microsoft.Management/managementGroups/{{x}}/../~"),
            format!("{host}/subscriptions/{{x}}/%2e%2E/~"),
            format!(r"{host}/subscriptions/{{x}}/.\n./~"),
            r"https:\\\\management.azure.com\\subscriptions\\{x}\\..\\~".to_owned(),
            "https%3A%2F%2Fmanagement.azure.com%2Fsubscriptions%2F%7Bx%7D%2F..%2F~".to_owned(),
            r"ht\ntps://management.azure.com/subscriptions/{x}/../~".to_owned(),
            "HTTPS:/management.azure.com/subscriptions/{x}/../~".to_owned(),
            "a+b-c.1://management.azure.com/subscriptions/{x}/../~".to_owned(),
            "//management.azure.com/subscriptions/{x}/../~".to_owned(),
            "/tenants/t/subscriptions/{x}/../~".to_owned(),
            format!("<{host}/subscriptions/{{x}}/../~>"),
            format!("('{host}/subscriptions/{{x}}/../~')"),
            format!("`{host}/subscriptions/{{x}}/../~`"),
            format!("\\\"{host}/subscriptions/{{x}}/../~\\\""),
        ] {
            let refused = in_json(format!("[\"{}\"]", odd.replace('~', A)).as_bytes(), &own()).map_err(|wrong| wrong.to_string());
            let two_readings = "an id is named that has two readings: dots or control characters stand in it";
            assert!(refused.as_ref().is_err_and(|wrong| wrong.starts_with(two_readings)), "{odd}: {refused:?}");
        }
        check(&format!(r#""{host}/subscriptions/~, or else a../b, {{..}}/c or d/... ""#), &["/subscriptions/~"]);
        check(&format!(r#""{host}/subscriptions/~\nand another line\n""#), &["/subscriptions/~"]);
        check(&format!(r#""{host}/x/../subscriptions/~""#), &["/subscriptions/~"]);
        check(&format!(r#""{host}/subscriptions/~?path=a/../b""#), &["/subscriptions/~"]);
        check(r#""https://example.org/a/../b says nothing of any subscription""#, &[]);
        check(r#""note: what /subscriptions/{x}/../~ means""#, &[]);
    }

    #[test]
    fn what_some_readers_do_not_see_or_take_for_our_letters_hides_no_id() {
        for hidden in [
            r"/subscri\tptions/~",
            "/subscriptions/8f2c1a10-0000-\u{200b}4000-8000-00000000000a",
            r"https://management.azure.com/subscri\rptions/~",
            r"/sub\u0000scriptions/~",
            r"/sub\u007fscriptions/~",
            "/sub%09scriptions/~",
            "/ſubscriptionſ/~",
            "/subscrıptions/~",
            "/%C5%BFubscriptions/~",
            "/\u{ff53}ubscription\u{ff33}/~",
            "\u{ff0f}subscriptions\u{ff0f}~",
            "//sub\u{ad}scriptions/~",
            "/sub\u{180e}scriptions/~",
            "/sub\u{200b}scriptions/~",
            "/sub\u{200f}scriptions/~",
            "/sub\u{202a}scriptions/~",
            "/sub\u{202e}scriptions/~",
            "/sub\u{2060}scriptions/~",
            "/sub\u{206f}scriptions/~",
            "\u{feff}/sub\u{feff}scriptions/~",
            "/subscriptions;a=b/~",
            "/subscriptions/~;a=b",
            "/a;b/subscriptions;c;d/~;e",
            r"x;subscri\tptions/~",
            r"/subscri%\t70tions/~",
            "/subscri%%0970tions/~",
            "%\u{200b}2Fsubscriptions/~",
            "/subscri\u{ff05}70tions/~",
            r"\\u00\t2fsubscriptions/~",
            // What Unicode says is to be ignored, and letters that are ours but for their looks.
            "/subscr\u{fe0f}iptions/~",
            "/subscr\u{e0061}iptions/~",
            "/subscr\u{34f}iptions/~",
            "/subscr\u{61c}iptions/~",
            "/subscr\u{e0101}iptions/~",
            "/\u{1d42c}ubscriptions/~",
            "/\u{24e2}ub\u{1d4c8}criptions/~",
            "/subscriptions/8f2c1a10-0000-4000-8000-\u{fe0f}00000000000a",
            "/subscriptions/\u{1d7d6}f2c1a10-0000-4000-8000-00000000000\u{1d41a}",
            "/subscriptions/8f2c1a10\u{ff0d}0000-4000-8000-00000000000a",
            "\u{2100}/subscriptions/~",
        ] {
            check(&format!("\"{hidden}\"").replace('~', A), &["/subscriptions/~"]);
        }
        check(r#""/śubscriptions/~""#, &[]);
        check("\"/sub\u{2010}scriptions/~\"", &[]);
        check(r#""/sub{}scriptions/~""#, &[]);
        // Lines stay lines for whoever sees them.
        check(r#""see /subscriptions/~\nabc""#, &["/subscriptions/~"]);
        let in_the_id = "/subscriptions/8f2c1a10-0000-\\n4000-8000-00000000000a";
        for dots in [
            in_the_id,
            r"/subscriptions/x/.\t./~",
            "/subscriptions/x/..;a/~",
            "/subscriptions/x/.\u{200b}./~",
            "/subscriptions/x/\u{ff0e}./~",
        ] {
            assert!(in_json(format!("\"{}\"", dots.replace('~', A)).as_bytes(), &own()).is_err(), "{dots}");
        }
    }

    #[test]
    fn letters_that_are_several_of_ours_are_read_as_those() {
        for (text, seen) in [("\u{33c4}", "cc"), ("\u{fb00}", "ff"), ("\u{b5}", "\u{b5}"), ("é", "é"), ("s\u{301}", "s\u{301}"), ("ı", "i")]
        {
            assert_eq!(visible(text), seen);
        }
    }

    #[test]
    fn segments_count_without_what_some_readers_drop() {
        for id in [
            "/subscriptions./~",
            "/subscriptions /~",
            "/subscriptions%20/~",
            "/subscriptions.%20./~",
            "/subscriptions\u{a0}/~",
            "/subscriptions%2e/~",
            "/subscriptions.;a=b/~",
            "/subscriptions. ;a=b/~",
            "/subscriptions/ /~",
            "/ subscriptions./~",
            "see '/subscriptions./~'",
            "https://management.azure.com/subscriptions./~",
        ] {
            check(&format!("\"{id}\""), &["/subscriptions/~"]);
        }
        let group = "/providers/Microsoft.Management/managementGroups/mg";
        for id in ["/providers./Microsoft.Management /managementGroups%20/mg", "/providers/ Microsoft.Management/managementGroups/mg"] {
            check(&format!("\"{id}\""), &[group]);
        }
        // Both readings are judged.
        check(
            r#""/subscriptions/~/resourceGroups./rg/providers./A.B/c/d""#,
            &["/subscriptions/~/resourceGroups./rg/providers./A.B/c/d", "/subscriptions/~/resourceGroups/rg/providers/A.B/c/d"],
        );
        for dots in ["/subscriptions/x/.. /~", "/subscriptions./x/../~", "/subscriptions/ . /~"] {
            assert!(in_json(format!("\"{}\"", dots.replace('~', A)).as_bytes(), &own()).is_err(), "{dots}");
        }
        for plain in ["/subscriptions..x/~ and a half", "/subscription s/~ and a half", "/subscriptions-/~ and a half"] {
            check(&format!("\"{plain}\""), &[]);
        }
    }

    #[test]
    fn plain_texts_are_told_from_those_with_two_readings() {
        for plain in ["/a/b.c/d e/f", "a.", " a", "a/", "/"] {
            assert!(is_plain(plain), "{plain}");
        }
        for odd in ["a//b", "a./b", "a /b", "a/ b", "a/b.", "a/b ", "a%b", "a&b", r"a\b", "a;b", "é", "a\tb"] {
            assert!(!is_plain(odd), "{odd}");
        }
    }

    #[test]
    fn character_references_hide_no_id() {
        for id in [
            "&#47;subscriptions&#47;~",
            "&#047subscriptions&#x2f;~",
            "&#X2Fsubscriptions/~",
            "&#x0000000000000000002F;subscriptions/~",
            "&sol;subscriptions&sol;~",
            "/subscr&#105;ptions/~",
            "&amp;#47;subscriptions&amp;sol;~",
            "&#37;2fsubscriptions&percnt;2f~",
            "%26%2347;subscriptions&num;/~".replace("&num;/", "&#47;").as_str(),
            "&bsol;subscriptions&bsol;~",
            "/subscr&#xFE0F;iptions/~",
            "/subscr&shy;ip&zwj;tions/~",
            "&amp#47;subscriptions&AMP;#47;~",
        ] {
            check(&format!("\"{id}\""), &["/subscriptions/~"]);
        }
        for (text, length) in [("#47;x", Some(('/', 4))), ("#47x", Some(('/', 3))), ("#x2f;", Some(('/', 5))), ("sol;x", Some(('/', 4)))] {
            assert_eq!(referred(text), length, "{text}");
        }
        for none in ["", "#", "#x", "#;", "#xg", "#99999999999", "#xd800;", "sol", "copy;", "zwj"] {
            assert_eq!(referred(none), None, "{none}");
        }
        assert_eq!([referred("amp;#"), referred("amp#"), referred("ampere")], [Some(('&', 4)), Some(('&', 3)), Some(('&', 3))]);
        // Each is looked at once, not with all that stands behind it.
        assert_eq!(decoded(&"&#".repeat(1 << 20)), None);
        assert!(NAMED.is_sorted());
    }

    #[test]
    fn ids_that_only_some_readers_take_for_ids_are_refused() {
        let refused = |json: &str| {
            let wrong = in_json(json.as_bytes(), &own()).unwrap_err().to_string();
            assert!(wrong.starts_with("an id of a subscription is named in a form that not every reader takes for one"), "{json}: {wrong}");
        };
        let listed = "{0x8f2c1a10,0x0000,0x4000,{0x80,0x00,0x00,0x00,0x00,0x00,0x00,0x0a}}";
        for id in [
            "8f2c1a10-0000-4000-8000-0000+000000a",
            "8f2c1a10-0000-4000-8000-00000x00000a",
            "8f2c1a10-0000-4000-8000-00000X00000a",
            "8f2c1a10-0000-4000-8000-+0000000000a",
            "+f2c1a10-0000-4000-8000-00000000000a",
            "0xf2c1a1-0000-4000-8000-00000000000a",
            "+0xf2c1a-0000-4000-8000-00000000000a",
            "8f2c1a10-+000-4000-8000-00000000000a",
            "8f2c1a10-0000-0x40-8000-00000000000a",
            "8f2c1a10-0000-4000-+0x8-00000000000a",
            "{8f2c1a10-0000-4000-8000-0000+000000a}",
            "(8f2c1a10-0000-4000-8000-0000+000000a)",
            listed,
            &listed.to_uppercase(),
            &listed.replace(',', " , ").replace('{', "{ "),
            &listed.replace("0x", "0 x+"),
        ] {
            refused(&format!("\"/subscriptions/{id}/resourceGroups/rg\""));
            refused(&format!("\"see subscriptions%2f{}\"", id.replace('+', "%2B")));
            refused(&format!("{{\"subscriptionId\":\"{id}\"}}"));
            refused(&format!("{{\"subscriptionIds\":\"x,-{id}\"}}"));
            assert!(in_query(&format!("scope=/subscriptions/{id}"), &own()).is_err(), "{id}");
            assert!(in_query(&format!("subscriptionId={}", id.replace('+', "%2B")), &own()).is_err(), "{id}");
        }
        check(r#""/subscriptions/8f2c1a1000004000800000000000000a""#, &["/subscriptions/~"]);
        check(r#""/subscriptions/({8f2c1a1000004000800000000000000a})""#, &["/subscriptions/~"]);
    }

    #[test]
    fn what_nobody_takes_for_an_id_is_left_alone() {
        for text in [
            "8f2c1a10-0000-4000-8000-0000 000000a",
            "8f2c1a10-0000-4000-8000-00000000000",
            "8f2c1a10-0000-4000-8000-0000000+000a",
            "8f2c1a10-0000-4000-8000-0000000x000a",
            "8f2c1a10-0000-4000-8000-000+000000a",
            "8f2c1a10+0000-4000-8000-0000+000000a",
            "8f2c1a10-0000+4000-8000-0000+000000a",
            "8f2c1a10-0000-4000+8000-0000+000000a",
            "8f2c1a10-0000-4000-8000+0000+000000a",
            "8f2c1a10-000g-4000-8000-0000+000000a",
            "8f2c1a10-0000-4000-8000-00000000000aa",
            "0x8f2c1a10 and more of the same, or so it seems",
            "8f2c1a10,0x8f2c1a10,0x8f2c1a10,0x8f2c1a10,0x8f",
            "1x8f2c1a10,0x8f2c1a10,0x8f2c1a10,0x8f2c1a10,0x",
        ] {
            check(&format!("[\"/subscriptions/{text}\",{{\"subscriptionName\":\"{text}\"}}]"), &[]);
        }
        check(r#"{"subscriptionNote":"0x12, 0x13 and the others {x} of the kind"}"#, &[]);
    }

    #[test]
    fn texts_that_are_too_short_for_an_id_are_left_alone() {
        let odd = |more: usize| in_json(format!("[\"/subscriptions/../{}\"]", "x".repeat(more)).as_bytes(), &own());
        assert_eq!(odd(26), Ok(Vec::new()), "44 bytes");
        assert!(odd(27).is_err(), "45 bytes");
        assert_eq!(in_json(format!("[{}1]", "\"/subscriptions/\",".repeat(5000)).as_bytes(), &own()), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_json_value_is_said_to_be_none() {
        let own = own();
        let walk = Walk { places: &mut Places::of(&own), depth: 0, documents: 0, said: Said::Nothing };
        let bytes = de::value::BytesDeserializer::<de::value::Error>::new(b"x");
        assert_eq!(walk.deserialize(bytes).unwrap_err().to_string(), "invalid type: byte array, expected a JSON value");
    }

    #[test]
    fn places_are_bounded() {
        let many = |count: usize| {
            let ids: Vec<String> = (0..count).map(|number| format!(r#""/subscriptions/{A}/resourceGroups/g{number}""#)).collect();
            in_json(format!("[{}]", ids.join(",")).as_bytes(), &own())
        };
        assert_eq!(many(PLACES_MAX).unwrap().len(), PLACES_MAX);
        assert!(many(PLACES_MAX + 1).is_err());
        let one = |text: String| in_json(format!("[\"{text}\"]").as_bytes(), &own());
        let long = |below: usize| one(format!("/subscriptions/{A}/{}", "a".repeat(below - 1)));
        assert_eq!(long(2048).unwrap().len(), 1);
        assert!(long(2049).is_err());
        let starts = |count: usize| in_json(format!("[{}1]", format!("\"/subscriptions/{A}\",").repeat(count)).as_bytes(), &own());
        assert_eq!(starts(4000).unwrap().len(), 1);
        assert!(starts(4001).is_err());
        assert!(one(format!("/subscriptions/{A}").repeat(STARTS_MAX + 1)).is_err());
        assert!(one("/subscriptions".repeat(300_000)).is_err());
        // Were all of it looked through for each of them, this would take minutes.
        let ids = format!("subscriptions/{A}-").repeat(STARTS_MAX - 1);
        assert!(one(format!("{ids}{}", "a".repeat(3 << 20))).unwrap().len() <= 1);
    }

    #[test]
    fn queries_are_looked_at_pair_by_pair() {
        let check = |query: &str, expected: usize| assert_eq!(in_query(&query.replace('~', A), &own()).unwrap().len(), expected, "{query}");
        check("$filter=resourceId%20eq%20'/subscriptions/~/resourceGroups/g'&api-version=1", 1);
        check("resourceUri=%2Fsubscriptions%2F~&x=%zz", 1);
        check("subscriptions/&scope=/subscriptions/~&api-version=1", 1);
        check("resourceUri=/subscriptions/~+&a=1", 1);
        check("targetSubscriptionId=~", 1);
        check("targetSubscriptionId%3D~", 1);
        check("$filter=subscriptionId+eq+'~'", 1);
        check("principalId=~&api-version=2024-07-01", 0);
        check("subscription=8f2c1a1000004000800000000000000a", 1);
        check("ſubscriptionId=~", 1);
        check("%C5%BFubscriptionId=~", 1);
        check("a=%C5%BFUBSCRIPTION%20~", 1);
        check("a=subscriptionſ/~", 1);
        let odd = "resourceUri=https://management.azure.com/subscriptions/%7Bx%7D/../";
        assert!(in_query(&format!("{odd}{A}"), &own()).is_err());
    }

    #[test]
    fn a_requests_own_surroundings_are_no_other_places() {
        let own = own();
        for below in ["", "/e/f", "/resourceGroups/rg"] {
            let text = if below.starts_with("/resourceGroups") {
                own.to_string().replace("/providers/A.B/c/d", "")
            } else {
                format!("{own}{below}")
            };
            assert!(in_json(format!("[\"{text}\"]").as_bytes(), &own).unwrap().is_empty(), "{text}");
        }
        let whole = "[\"/subscriptions/0f2c1a10-0000-4000-8000-000000000001\"]";
        assert_eq!(in_json(whole.as_bytes(), &own).unwrap().len(), 1, "the subscription is more than where it lies");
        let subscription = Scope::parse("/subscriptions/0f2c1a10-0000-4000-8000-000000000001").unwrap();
        assert_eq!(
            in_json(format!("[\"{own}\"]").as_bytes(), &subscription).unwrap().len(),
            1,
            "a verb of the subscription is none of what lies in it"
        );
    }

    #[test]
    fn what_is_needed_there_follows_from_what_it_is() {
        let group = format!("/subscriptions/{A}/resourceGroups/rg");
        let needed = |below: &str| {
            let place = Scope::from_segments(&format!("{group}{below}").split('/').skip(1).collect::<Vec<_>>()).unwrap();
            actions_on(&place).map(|actions| actions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        let check = |below: &str, expected: &str| assert_eq!(needed(below).as_deref(), Some(expected), "{below}");
        let subnet = "/providers/Microsoft.Network/virtualNetworks/v/subnets/s";
        let join = "Microsoft.Network/virtualNetworks/subnets/join/action";
        for longer in ["", "/x", "/x/y", "/providers", "/providers/A.B/c/d", "/x y/z"] {
            check(&format!("{subnet}{longer}"), join);
        }
        check("/providers/Microsoft.Network/PUBLICIPADDRESSES/p", "Microsoft.Network/PUBLICIPADDRESSES/join/action");
        let identity = "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i";
        check(identity, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action");
        check(&format!("{identity}{subnet}"), &format!("Microsoft.ManagedIdentity/userAssignedIdentities/assign/action {join}"));
        check("/providers/Microsoft.Compute/images/i", "Microsoft.Compute/images/read");
        check("", "Microsoft.Resources/subscriptions/resourceGroups/read");
        assert_eq!(needed("/providers/A B/c/d"), None);
        for (place, expected) in [
            ("/subscriptions/~", "Microsoft.Resources/subscriptions/read"),
            ("/subscriptions/~/tagNames/t", "Microsoft.Resources/subscriptions/read"),
            ("/providers/Microsoft.Management/managementGroups/mg", "Microsoft.Management/managementGroups/read"),
        ] {
            let actions = actions_on(&Scope::parse(&place.replace('~', A)).unwrap()).unwrap();
            assert_eq!(actions.iter().map(Action::as_str).collect::<Vec<_>>(), [expected], "{place}");
        }
        assert!(JOINED.is_sorted());
    }
}
