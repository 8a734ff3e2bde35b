//! The resources of one template by every name that expressions and dependencies use for them.

use std::collections::BTreeMap;

use super::ids::{Place, resource_id};

/// A resource or one turn of its loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Full resource id.
    pub(super) id: String,
    /// Position in the plan; none for what is not deployed: existing or left out by its condition.
    pub(super) entry: Option<usize>,
}

/// Resources by name. Names are kept in lower case.
#[derive(Debug, Default)]
pub(super) struct Index {
    place: Option<Place>,
    symbols: BTreeMap<String, Vec<Member>>,
    loops: BTreeMap<String, Vec<Member>>,
    ids: BTreeMap<String, Vec<Member>>,
    names: BTreeMap<String, Vec<Member>>,
}

impl Index {
    /// An empty one for a template whose resources are at `place`.
    pub(super) fn at(place: Place) -> Self {
        Self { place: Some(place), ..Self::default() }
    }

    /// Adds a resource; false when its id is there already and both are deployed.
    pub(super) fn insert(&mut self, member: &Member, name: &str, symbol: Option<&str>, in_loop: Option<&str>) -> bool {
        let add = |map: &mut BTreeMap<String, Vec<Member>>, key: &str| {
            map.entry(key.to_lowercase()).or_default().push(member.clone());
        };
        symbol.into_iter().for_each(|symbol| add(&mut self.symbols, symbol));
        in_loop.into_iter().for_each(|name| add(&mut self.loops, name));
        add(&mut self.names, name);
        let same_id = self.ids.get(&member.id.to_lowercase());
        let again = member.entry.is_some() && same_id.is_some_and(|members| members.iter().any(|other| other.entry.is_some()));
        add(&mut self.ids, &member.id);
        !again
    }

    /// Makes the names of a loop known, which may have no turns.
    pub(super) fn insert_loop(&mut self, symbol: Option<&str>, name: &str) {
        self.loops.entry(name.to_lowercase()).or_default();
        if let Some(symbol) = symbol {
            self.symbols.entry(symbol.to_lowercase()).or_default();
        }
    }

    /// Adds a resource that is left out and has no name, because that needs what is left out as well.
    pub(super) fn insert_nameless(&mut self, symbol: Option<&str>, in_loop: Option<&str>) {
        let none = Member { id: String::new(), entry: None };
        symbol.into_iter().for_each(|symbol| self.symbols.entry(symbol.to_lowercase()).or_default().push(none.clone()));
        in_loop.into_iter().for_each(|name| self.loops.entry(name.to_lowercase()).or_default().push(none.clone()));
    }

    /// What a text of `dependsOn` or the first argument of `reference` means: a symbolic name, the name of a loop, an id with or
    /// without its scope, or a name.
    pub(super) fn find(&self, text: &str) -> Option<&[Member]> {
        let text = text.trim_end_matches('/').to_lowercase();
        let maps = [&self.symbols, &self.loops, &self.ids];
        let direct = maps.into_iter().find_map(|map| map.get(&text));
        let relative = || self.ids.get(&self.place.as_ref().and_then(|place| relative_id(place, &text))?.to_lowercase());
        direct.or_else(relative).or_else(|| self.names.get(&text)).map(Vec::as_slice)
    }

    /// Symbolic names and names, for suggestions.
    pub(super) fn known(&self) -> impl Iterator<Item = &str> {
        self.symbols.keys().chain(self.loops.keys()).chain(self.names.keys()).map(String::as_str)
    }
}

/// The full id for `Namespace/type/name/type/name`, an id without its scope.
pub(super) fn relative_id(place: &Place, text: &str) -> Option<String> {
    let text = text.trim_matches('/');
    let (namespace, pairs) = text.split_once('/')?;
    let parts: Vec<&str> = pairs.split('/').collect();
    if !parts.len().is_multiple_of(2) || !namespace.contains('.') {
        return None;
    }
    let every_other = |from: usize| parts.iter().skip(from).step_by(2).copied().collect::<Vec<_>>().join("/");
    resource_id(&place.id(), &format!("{namespace}/{}", every_other(0)), &every_other(1)).ok()
}
