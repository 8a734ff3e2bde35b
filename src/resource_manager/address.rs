//! What a path names: the one reader of request paths.

use hyper::Method;

use crate::ids::SubscriptionId;

use super::providers::{Namespace, Providers, ResourceType};
use super::refusal::Refusal;

/// What a request is about.
#[derive(Debug)]
pub(super) enum Address {
    /// `/providers[/{namespace}]`.
    Catalogue(Option<&'static Namespace>),
    /// `/providers/Microsoft.ResourceGraph/resources`.
    Graph,
    /// `/subscriptions`.
    Subscriptions,
    /// Something in a subscription.
    In(SubscriptionId, Within),
}

/// What a request is about, inside a subscription.
#[derive(Debug)]
pub(super) enum Within {
    /// `/subscriptions/{id}`.
    Subscription,
    /// `…/locations`.
    Locations,
    /// `…/resourceGroups`.
    Groups,
    /// `…/resourceGroups/{name}`.
    Group(Item),
    /// `…/resources`, of the subscription or a group.
    Resources(Node),
    /// `…/providers[/{namespace}]`.
    Registrations(Option<&'static Namespace>),
    /// `…/providers/{namespace}/register` and `/unregister`.
    Register { namespace: &'static Namespace, registered: bool },
    /// `…/providers/{namespace}/locations/{location}/operations/{id}` and `/operationresults/{id}`.
    Operation { id: String, style: PollStyle },
    /// `…/{type}/{name}`.
    Resource(Item),
    /// `…/{type}`.
    Collection { parent: Node, kind: &'static ResourceType },
    /// `…/{type}/{name}/{action}`.
    Action { item: Item, action: &'static str },
    /// `…/providers/{namespace}/{action}`.
    NamespaceAction { namespace: &'static Namespace, action: String },
}

/// How a client follows an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PollStyle {
    /// `Location`: 202 until done, then the final answer.
    Result,
    /// `Azure-AsyncOperation`: always 200 with a status document.
    Status,
}

/// A subscription, group or resource that others hang below.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// In the casing it was written in, types in the provider's own.
    pub(super) id: String,
    /// The id in lower case: what things are found by.
    pub(super) key: String,
    /// `None` for subscriptions and resource groups.
    pub(super) kind: Option<&'static ResourceType>,
    /// The key of the resource group that it is or lies in.
    pub(super) group_key: Option<String>,
}

/// One resource or resource group.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The id in lower case.
    pub(super) key: String,
    pub(super) kind: &'static ResourceType,
    pub(super) name: String,
    /// What it hangs below.
    pub(super) parent: Node,
    /// What follows the parent's id in its own.
    pub(super) tail: String,
}

impl Item {
    /// The id as this request wrote it.
    pub(super) fn written_id(&self) -> String {
        format!("{}{}", self.parent.id, self.tail)
    }

    fn node(self) -> Node {
        Node { id: self.written_id(), key: self.key, kind: Some(self.kind), group_key: self.parent.group_key }
    }
}

impl Address {
    /// Reads a path that begins with `/`; empty segments count for nothing.
    ///
    /// # Errors
    /// When a segment is malformed, or a subscription id, namespace, type or action does not exist.
    pub(super) fn parse(method: &Method, path: &str) -> Result<Self, Refusal> {
        let malformed = || Refusal::Path(path.chars().take(512).collect());
        let segments: Option<Vec<String>> = path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect();
        let segments = segments.ok_or_else(malformed)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            [first] if is(first, "subscriptions") => Ok(Self::Subscriptions),
            [first, id, rest @ ..] if is(first, "subscriptions") => {
                let id: SubscriptionId = id.parse().map_err(|_cause: crate::ids::NotAGuid| Refusal::SubscriptionId((*id).to_owned()))?;
                Reader { method, path }.within(id, rest).map(|within| Self::In(id, within))
            }
            [first] if is(first, "providers") => Ok(Self::Catalogue(None)),
            [first, name] if is(first, "providers") => namespace(name).map(|namespace| Self::Catalogue(Some(namespace))),
            [first, name, table] if is(first, "providers") && is(name, "Microsoft.ResourceGraph") && is(table, "resources") => {
                Ok(Self::Graph)
            }
            _ => Err(malformed()),
        }
    }

    /// The resource type that the request is about, if it is about resources.
    pub(super) fn kind(&self) -> Option<&'static ResourceType> {
        match self {
            Self::In(_, Within::Group(item) | Within::Resource(item) | Within::Action { item, .. }) => Some(item.kind),
            Self::In(_, Within::Collection { kind, .. }) => Some(kind),
            Self::Catalogue(_) | Self::Graph | Self::Subscriptions | Self::In(..) => None,
        }
    }
}

/// One path being read, kept for the texts of refusals.
struct Reader<'a> {
    method: &'a Method,
    path: &'a str,
}

impl Reader<'_> {
    fn within(&self, id: SubscriptionId, rest: &[&str]) -> Result<Within, Refusal> {
        let root = Node::subscription(id);
        match rest {
            [] => Ok(Within::Subscription),
            [word] if is(word, "locations") => Ok(Within::Locations),
            [word] if is(word, "resources") => Ok(Within::Resources(root)),
            [word] if is(word, "resourceGroups") => Ok(Within::Groups),
            [word, name, rest @ ..] if is(word, "resourceGroups") => self.in_group(root, name, rest),
            [word] if is(word, "providers") => Ok(Within::Registrations(None)),
            [word, name] if is(word, "providers") => namespace(name).map(|namespace| Within::Registrations(Some(namespace))),
            [word, name, verb] if is(word, "providers") && self.method == Method::POST && registers(verb).is_some() => {
                let registered = registers(verb).unwrap_or_default();
                Ok(Within::Register { namespace: namespace(name)?, registered })
            }
            [word, name, locations, _, style, id] if is(word, "providers") && is(locations, "locations") && poll_style(style).is_some() => {
                namespace(name)?;
                Ok(Within::Operation { id: (*id).to_owned(), style: poll_style(style).unwrap_or(PollStyle::Status) })
            }
            [word, ..] if is(word, "providers") => self.blocks(root, rest),
            _ => Err(self.malformed()),
        }
    }

    fn in_group(&self, root: Node, name: &str, rest: &[&str]) -> Result<Within, Refusal> {
        let tail = format!("/resourceGroups/{name}");
        let mut node = root.below(&tail, None);
        node.group_key = Some(node.key.clone());
        match rest {
            [] => {
                let kind = Providers::built_in().kind("Microsoft.Resources/resourceGroups").ok_or_else(|| self.malformed())?;
                Ok(Within::Group(Item { key: node.key, kind, name: name.to_owned(), parent: root, tail }))
            }
            [word] if is(word, "resources") => Ok(Within::Resources(node)),
            [word, ..] if is(word, "providers") => self.blocks(node, rest),
            _ => Err(self.malformed()),
        }
    }

    /// `providers/{namespace}/{type}/{name}…`, once or more: each further block attaches to the resource before it.
    fn blocks(&self, mut base: Node, mut rest: &[&str]) -> Result<Within, Refusal> {
        loop {
            let [_providers, name, below @ ..] = rest else { return Err(self.malformed()) };
            let namespace = namespace(name)?;
            let end = below.iter().step_by(2).position(|segment| is(segment, "providers")).map_or(below.len(), |pair| pair * 2);
            let (block, next) = below.split_at_checked(end).ok_or_else(|| self.malformed())?;
            if next.is_empty() {
                return self.last_block(base, namespace, block);
            }
            base = item(base, namespace, block)?.ok_or_else(|| self.malformed())?.node();
            rest = next;
        }
    }

    fn last_block(&self, base: Node, namespace: &'static Namespace, block: &[&str]) -> Result<Within, Refusal> {
        let (Some((last, before)), odd) = (block.split_last(), block.len() % 2 == 1) else { return Err(self.malformed()) };
        if !odd {
            return item(base, namespace, block)?.map(Within::Resource).ok_or_else(|| self.malformed());
        }
        let parent = item(base.clone(), namespace, before);
        if self.method != Method::POST {
            let types: Vec<&str> = block.iter().copied().step_by(2).collect();
            let kind = kind(namespace, &types)?;
            let parent = parent?.map_or(base, Item::node);
            return Ok(Within::Collection { parent, kind });
        }
        let Some(item) = parent? else {
            if namespace.has_action(last) {
                return Ok(Within::NamespaceAction { namespace, action: (*last).to_owned() });
            }
            return Err(unknown_type(namespace, last));
        };
        let action = item.kind.action(last).ok_or_else(|| unknown_type(namespace, &format!("{}/{last}", item.kind.name)))?;
        Ok(Within::Action { item, action })
    }

    fn malformed(&self) -> Refusal {
        Refusal::Path(self.path.chars().take(512).collect())
    }
}

impl Node {
    /// The node of a subscription.
    pub(super) fn subscription(id: SubscriptionId) -> Self {
        let id = format!("/subscriptions/{id}");
        Self { key: id.clone(), id, kind: None, group_key: None }
    }

    fn below(&self, tail: &str, kind: Option<&'static ResourceType>) -> Self {
        let key = format!("{}{}", self.key, tail.to_lowercase());
        Self { id: format!("{}{tail}", self.id), key, kind, group_key: self.group_key.clone() }
    }
}

/// The resource of whole pairs of type and name; `None` when there are none.
fn item(base: Node, namespace: &'static Namespace, pairs: &[&str]) -> Result<Option<Item>, Refusal> {
    let types: Vec<&str> = pairs.iter().copied().step_by(2).collect();
    let names: Vec<&str> = pairs.iter().copied().skip(1).step_by(2).collect();
    let (Some(name), Some((_, outer_names))) = (names.last(), names.split_last()) else { return Ok(None) };
    let kind = kind(namespace, &types)?;
    let own: Vec<&str> = kind.name.split('/').collect();
    let mut outer = format!("/providers/{}", namespace.name);
    for (kind, name) in own.iter().zip(outer_names) {
        outer.push_str(&format!("/{kind}/{name}"));
    }
    let last = format!("/{}/{name}", own.last().copied().unwrap_or_default());
    let (parent, tail) = if outer_names.is_empty() {
        (base, format!("{outer}{last}"))
    } else {
        let outer_kind = types.split_last().and_then(|(_, outer)| namespace.kind(&outer.join("/")));
        (base.below(&outer, outer_kind), last)
    };
    let key = format!("{}{}", parent.key, tail.to_lowercase());
    Ok(Some(Item { key, kind, name: (*name).to_owned(), parent, tail }))
}

fn namespace(name: &str) -> Result<&'static Namespace, Refusal> {
    Providers::built_in().namespace(name).ok_or_else(|| Refusal::Namespace(name.to_owned()))
}

fn kind(namespace: &'static Namespace, types: &[&str]) -> Result<&'static ResourceType, Refusal> {
    let joined = types.join("/");
    namespace.kind(&joined).ok_or_else(|| unknown_type(namespace, &joined))
}

fn unknown_type(namespace: &Namespace, kind: &str) -> Refusal {
    Refusal::Type { namespace: namespace.name.to_owned(), kind: kind.to_owned() }
}

fn is(segment: &str, word: &str) -> bool {
    segment.eq_ignore_ascii_case(word)
}

fn registers(verb: &str) -> Option<bool> {
    match verb {
        verb if is(verb, "register") => Some(true),
        verb if is(verb, "unregister") => Some(false),
        _ => None,
    }
}

fn poll_style(word: &str) -> Option<PollStyle> {
    match word {
        word if is(word, "operations") => Some(PollStyle::Status),
        word if is(word, "operationresults") => Some(PollStyle::Result),
        _ => None,
    }
}

/// A segment without its percent escapes; `None` when it hides a slash, a control byte or no text at all.
pub(super) fn decode(segment: &str) -> Option<String> {
    if !segment.contains('%') {
        return is_plain(segment).then(|| segment.to_owned());
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    let text = String::from_utf8(bytes).ok()?;
    is_plain(&text).then_some(text)
}

fn is_plain(text: &str) -> bool {
    text != "." && text != ".." && !text.contains(|c: char| c == '/' || c == '\\' || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUB: &str = "/subscriptions/8f2c1a10-0000-4000-8000-000000000001";

    fn told(method: &Method, tail: &str) -> String {
        match Address::parse(method, &format!("{SUB}{tail}")) {
            Ok(Address::In(_, Within::Resource(item))) => format!("{} in {}", item.written_id(), item.parent.key).replace(SUB, "S"),
            Ok(Address::In(_, Within::Collection { parent, kind })) => format!("{} below {}", kind.full, parent.key).replace(SUB, "S"),
            Ok(Address::In(_, Within::Action { item, action })) => format!("{action} of {}", item.key).replace(SUB, "S"),
            Ok(Address::In(_, Within::Operation { id, style })) => format!("{style:?} {id}"),
            Ok(Address::In(_, Within::Group(item))) => format!("group {}", item.name),
            Ok(Address::In(_, Within::NamespaceAction { namespace, action })) => format!("{action} of {}", namespace.name),
            Ok(Address::In(_, Within::Register { namespace, registered })) => format!("{} registered: {registered}", namespace.name),
            Ok(other) => format!("{other:?}"),
            Err(refusal) => refusal.code().to_owned(),
        }
    }

    #[track_caller]
    fn check(method: &Method, tail: &str, expected: &str) {
        assert_eq!(told(method, tail), expected, "{method} {tail}");
    }

    #[test]
    fn paths_are_read_to_any_depth() {
        let get = Method::GET;
        check(&get, "/resourcegroups/RG-1", "group RG-1");
        check(
            &get,
            "/resourceGroups/rg/providers/microsoft.compute//virtualmachines/Web-01",
            "S/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/Web-01 in S/resourcegroups/rg",
        );
        check(
            &get,
            "/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/v/extensions/E",
            "S/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/v/extensions/E in \
             S/resourcegroups/rg/providers/microsoft.compute/virtualmachines/v",
        );
        check(
            &get,
            "/resourceGroups/rg/providers/Microsoft.Compute/disks/d/providers/Microsoft.Authorization/locks/n",
            "S/resourceGroups/rg/providers/Microsoft.Compute/disks/d/providers/Microsoft.Authorization/locks/n in \
             S/resourcegroups/rg/providers/microsoft.compute/disks/d",
        );
        check(&get, "/providers/Microsoft.Compute/disks", "Microsoft.Compute/disks below S");
        check(
            &get,
            "/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets",
            "Microsoft.Network/virtualNetworks/subnets below S/resourcegroups/rg/providers/microsoft.network/virtualnetworks/v",
        );
        check(&get, "/providers/Microsoft.Compute/locations/westeurope/operations/x", "Status x");
        check(&get, "/providers/Microsoft.Compute/locations/westeurope/operationresults/x", "Result x");
    }

    #[test]
    fn a_post_needs_a_known_action() {
        let machine = "/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/v";
        check(
            &Method::POST,
            &format!("{machine}/POWEROFF"),
            "powerOff of S/resourcegroups/rg/providers/microsoft.compute/virtualmachines/v",
        );
        check(&Method::POST, &format!("{machine}/explode"), "InvalidResourceType");
        check(&Method::POST, "/providers/Microsoft.KeyVault/checkNameAvailability", "checkNameAvailability of Microsoft.KeyVault");
        check(&Method::POST, "/providers/Microsoft.KeyVault/register", "Microsoft.KeyVault registered: true");
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let get = Method::GET;
        check(&get, "/resourceGroups/rg/providers/Contoso.Rockets/rockets/r", "InvalidResourceNamespace");
        check(&get, "/resourceGroups/rg/providers/Microsoft.Compute/rockets/r", "InvalidResourceType");
        check(&get, "/rockets", "InvalidRequestUri");
        check(&get, "/resourceGroups/..%2frg", "InvalidRequestUri");
        check(&get, "/resourceGroups/%zz", "InvalidRequestUri");
        assert_eq!(Address::parse(&get, "/subscriptions/nope").unwrap_err().code(), "InvalidSubscriptionId");
        assert_eq!(Address::parse(&get, "/elsewhere").unwrap_err().code(), "InvalidRequestUri");
    }
}
