//! Text to entries. A file is read table by table, so that one entry that makes no sense hides no mistake of another.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::diagnostics::{Diagnostic, Diagnostics, Span, closest, in_words};
use super::file::{
    AddOn, At, Authorization, DataPlane, Delegation, DenyAssignment, Group, Issuer, ManagementGroup, MarketplaceOffer, OnRequest,
    Onboarding, Plan, PlanAuthorization, PrivateCloud, Quota, RoleAssignment, ServicePrincipal, Subscription, Tenant, User,
};
use super::source::SourceFile;

/// One element of a table array and where it stands.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// Position of its file in the set.
    pub(super) file: usize,
    range: Range<usize>,
    /// What it says.
    pub(super) body: T,
}

impl<T> Entry<T> {
    /// The line that begins the entry.
    pub(super) fn span(&self) -> Span {
        Span { file: self.file, range: self.range.clone() }
    }

    /// A value of the entry.
    pub(super) fn at<V>(&self, value: &At<V>) -> Span {
        Span { file: self.file, range: value.range.clone() }
    }
}

/// The entries of all files of a set.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) issuers: Vec<Entry<Issuer>>,
    pub(super) tenants: Vec<Entry<Tenant>>,
    pub(super) management_groups: Vec<Entry<ManagementGroup>>,
    pub(super) subscriptions: Vec<Entry<Subscription>>,
    pub(super) users: Vec<Entry<User>>,
    pub(super) service_principals: Vec<Entry<ServicePrincipal>>,
    pub(super) groups: Vec<Entry<Group>>,
    pub(super) role_assignments: Vec<Entry<RoleAssignment>>,
    pub(super) deny_assignments: Vec<Entry<DenyAssignment>>,
    pub(super) delegations: Vec<Entry<Delegation>>,
    pub(super) onboarding: Vec<Entry<Onboarding>>,
    pub(super) marketplace_offers: Vec<Entry<MarketplaceOffer>>,
    pub(super) data_planes: Vec<Entry<DataPlane>>,
    pub(super) private_clouds: Vec<Entry<PrivateCloud>>,
    pub(super) plans: Vec<Entry<Plan>>,
    pub(super) add_ons: Vec<Entry<AddOn>>,
    incomplete: HashSet<&'static str>,
}

/// The tables of a policy file.
const TABLES: [&str; 16] = [
    "issuer",
    "tenant",
    "management_group",
    "subscription",
    "user",
    "service_principal",
    "group",
    "role_assignment",
    "deny_assignment",
    "delegation",
    "onboarding",
    "marketplace_offer",
    "data_plane",
    "private_cloud",
    "plan",
    "add_on",
];

impl Parsed {
    /// Whether every entry of these tables could be read. Where not, a name that is not known may just have been lost.
    pub(super) fn complete(&self, tables: &[&str]) -> bool {
        tables.iter().all(|table| !self.incomplete.contains(table))
    }

    /// How many grants are written down: one for each role assignment, and for each authorization on each scope.
    pub(super) fn grants(&self) -> usize {
        let of_delegation = |entry: &Entry<Delegation>| entry.body.authorization.len() * entry.body.scopes.value.len();
        self.role_assignments.len() + self.delegations.iter().map(of_delegation).sum::<usize>()
    }

    /// Notes that a file could not be read, so that any name may have been in it.
    pub(super) fn lost_a_file(&mut self) {
        self.incomplete.extend(TABLES);
    }

    /// Adds the entries of one file.
    pub(super) fn read(&mut self, index: usize, file: &SourceFile, diagnostics: &mut Diagnostics) {
        let (root, errors) = DeTable::parse_recoverable(&file.text);
        for error in &errors {
            let range = error.span().unwrap_or_default();
            let message = format!("not TOML: {}", one_line(error.message()));
            diagnostics.push(Diagnostic::error("toml.syntax", message).at(Span { file: index, range }, ""));
        }
        if !errors.is_empty() {
            // What the parser recovered is a guess; judging it would bury the error under its consequences.
            return self.lost_a_file();
        }
        let mut reader = Reader { file: index, diagnostics, incomplete: &mut self.incomplete };
        for (key, value) in root.into_inner() {
            match &**key.get_ref() {
                "issuer" => reader.entries("issuer", value, &mut self.issuers),
                "tenant" => reader.entries("tenant", value, &mut self.tenants),
                "management_group" => reader.entries("management_group", value, &mut self.management_groups),
                "subscription" => reader.entries("subscription", value, &mut self.subscriptions),
                "user" => reader.entries("user", value, &mut self.users),
                "service_principal" => reader.entries("service_principal", value, &mut self.service_principals),
                "group" => reader.entries("group", value, &mut self.groups),
                "role_assignment" => reader.entries("role_assignment", value, &mut self.role_assignments),
                "deny_assignment" => reader.entries("deny_assignment", value, &mut self.deny_assignments),
                "delegation" => reader.delegations(value, &mut self.delegations),
                "onboarding" => reader.entries("onboarding", value, &mut self.onboarding),
                "marketplace_offer" => reader.marketplace_offers(value, &mut self.marketplace_offers),
                "data_plane" => reader.entries("data_plane", value, &mut self.data_planes),
                "private_cloud" => reader.entries("private_cloud", value, &mut self.private_clouds),
                "plan" => reader.with_quota("plan", value, &mut self.plans),
                "add_on" => reader.with_quota("add_on", value, &mut self.add_ons),
                unknown => reader.unknown("table", unknown, key.span(), &TABLES),
            }
        }
    }
}

/// Reads the entries of one file.
struct Reader<'a> {
    file: usize,
    diagnostics: &'a mut Diagnostics,
    incomplete: &'a mut HashSet<&'static str>,
}

impl Reader<'_> {
    fn entries<'de, T: Deserialize<'de>>(&mut self, table: &'static str, value: Spanned<DeValue<'de>>, into: &mut Vec<Entry<T>>) {
        for element in self.elements(table, value) {
            into.extend(self.entry(table, element));
        }
    }

    /// Authorizations are taken out and read one by one, for the same reason as entries are.
    fn delegations(&mut self, value: Spanned<DeValue<'_>>, into: &mut Vec<Entry<Delegation>>) {
        for mut element in self.elements("delegation", value) {
            let read: Vec<At<Authorization>> = self.authorizations("delegation.authorization", &mut element);
            if let Some(mut delegation) = self.entry::<Delegation>("delegation", element) {
                delegation.body.authorization = read;
                into.push(delegation);
            }
        }
    }

    fn marketplace_offers(&mut self, value: Spanned<DeValue<'_>>, into: &mut Vec<Entry<MarketplaceOffer>>) {
        for mut element in self.elements("marketplace_offer", value) {
            let read: Vec<At<PlanAuthorization>> = self.authorizations("marketplace_offer.authorization", &mut element);
            if let Some(mut offer) = self.entry::<MarketplaceOffer>("marketplace_offer", element) {
                offer.body.authorization = read;
                into.push(offer);
            }
        }
    }

    fn with_quota<'de, T: Deserialize<'de>>(&mut self, table: &'static str, value: Spanned<DeValue<'de>>, into: &mut Vec<Entry<T>>) {
        for mut element in self.elements(table, value) {
            if let DeValue::Table(keys) = element.get_mut()
                && let Some(DeValue::Table(quota)) = keys.get_mut("quota").map(Spanned::get_mut)
            {
                self.refuse_unknown_keys::<Quota>("quota", quota);
            }
            into.extend(self.entry(table, element));
        }
    }

    fn authorizations<'de, T: Deserialize<'de>>(&mut self, table: &'static str, of: &mut Spanned<DeValue<'de>>) -> Vec<At<T>> {
        let written = if let DeValue::Table(table) = of.get_mut() { table.remove("authorization") } else { None };
        let elements = written.map(|value| self.elements(table, value)).unwrap_or_default();
        elements.into_iter().filter_map(|element| self.authorization(table, element)).collect()
    }

    fn authorization<'de, T: Deserialize<'de>>(&mut self, name: &'static str, mut element: Spanned<DeValue<'de>>) -> Option<At<T>> {
        if let DeValue::Table(table) = element.get_mut()
            && let Some(DeValue::Table(on_request)) = table.get_mut("on_request").map(Spanned::get_mut)
        {
            self.refuse_unknown_keys::<OnRequest>("on_request", on_request);
        }
        let entry = self.entry::<T>(name, element)?;
        Some(At { range: entry.range, value: entry.body })
    }

    fn elements<'de>(&mut self, table: &'static str, value: Spanned<DeValue<'de>>) -> Vec<Spanned<DeValue<'de>>> {
        let span = Span { file: self.file, range: value.span() };
        let found = value.get_ref().type_str();
        if let DeValue::Array(array) = value.into_inner() {
            return array.into_iter().collect();
        }
        self.incomplete.insert(table);
        let message = format!("`{table}` is a {found}; it is a list of tables");
        self.diagnostics.push(Diagnostic::error("entry.form", message).at(span, format!("write [[{table}]] above each entry")));
        Vec::new()
    }

    fn entry<'de, T: Deserialize<'de>>(&mut self, table: &'static str, mut element: Spanned<DeValue<'de>>) -> Option<Entry<T>> {
        let range = element.span();
        if let DeValue::Table(keys) = element.get_mut() {
            self.refuse_unknown_keys::<T>(table, keys);
        }
        match T::deserialize(ValueDeserializer::from(element)) {
            Ok(body) => Some(Entry { file: self.file, range, body }),
            Err(error) => {
                self.incomplete.insert(table);
                let place = Span { file: self.file, range: error.span().unwrap_or(range) };
                let message = format!("{} in `{table}`", in_words(&one_line(error.message())));
                self.diagnostics.push(Diagnostic::error("entry.form", message).at(place, ""));
                None
            }
        }
    }

    /// Reports each key that `T` does not have, and takes it out so that the rest can be read.
    fn refuse_unknown_keys<'de, T: Deserialize<'de>>(&mut self, table: &str, keys: &mut DeTable<'_>) {
        let known = keys_of::<T>();
        let unknown: Vec<_> = keys.keys().filter(|key| !known.contains(&&**key.get_ref())).cloned().collect();
        for key in unknown {
            keys.remove(&key);
            self.unknown(table, key.get_ref(), key.span(), known);
        }
    }

    fn unknown(&mut self, inside: &str, key: &str, range: Range<usize>, known: &[&'static str]) {
        let span = Span { file: self.file, range };
        let (code, message) = match inside {
            "table" => ("table.unknown", format!("there is no table `{key}`")),
            table => ("key.unknown", format!("`{table}` has no key `{key}`")),
        };
        let allowed =
            format!("allowed: {}", known.iter().filter(|known| **known != "authorization").copied().collect::<Vec<_>>().join(", "));
        let diagnostic = Diagnostic::error(code, message).at(span.clone(), "not known").help(allowed);
        let meant = closest(key, known.iter().copied()).map(str::to_owned);
        self.diagnostics.push(diagnostic.suggest(span, meant));
    }
}

fn one_line(message: &str) -> String {
    message.trim_end().replace('\n', ", ")
}

/// The keys of a table type, asked of serde itself so that no second list can differ from the type.
fn keys_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // The answer is in `keys`; the error only ends the reading.
    drop(T::deserialize(KeysOnly { keys: &mut keys }));
    keys
}

struct KeysOnly<'a> {
    keys: &'a mut &'static [&'static str],
}

impl<'de> Deserializer<'de> for KeysOnly<'_> {
    type Error = Done;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Done> {
        Err(Done)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Done> {
        *self.keys = fields;
        Err(Done)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[derive(Debug)]
struct Done;

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the keys are known")
    }
}

impl std::error::Error for Done {}

impl de::Error for Done {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_table_are_those_of_its_type() {
        assert_eq!(keys_of::<OnRequest>(), ["max", "approvers"]);
        assert!(keys_of::<Delegation>().contains(&"authorization"));
    }

    #[test]
    fn a_wrong_type_is_told_in_words_of_the_file() {
        let texts = [("cloud.toml", "[[private_cloud]]\ntenants_max = \"x\"\n")];
        let sources = super::super::source::SourceSet::from_texts(std::path::Path::new("p"), &texts);
        let mut diagnostics = Diagnostics::new(sources.clone());
        Parsed::default().read(0, &sources.files()[0], &mut diagnostics);
        let told = "invalid type: string \"x\", expected a whole number in `private_cloud`";
        assert!(diagnostics.list().iter().any(|one| one.message == told), "{:?}", diagnostics.list());
    }
}
