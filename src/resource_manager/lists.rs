//! Lists, a page at a time.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::Value;

use super::address::Node;
use super::answer::Answer;
use super::call::{Call, Plan};
use super::filter::Filter;
use super::providers::ResourceType;
use super::refusal::Refusal;
use super::resource::Resource;
use super::world::World;

/// Entries of one page, rendered.
#[derive(Debug, Default)]
pub(super) struct Page {
    body: Vec<u8>,
    entries: usize,
    next: Option<String>,
}

impl Page {
    /// The page that `call` asks for, out of `entries` that begin after its cursor and come with their keys.
    ///
    /// # Errors
    /// When `$top` is not valid.
    pub(super) fn of<K, B>(call: &Call<'_>, entries: impl Iterator<Item = (K, B)>) -> Result<Self, Refusal>
    where
        K: AsRef<str>,
        B: AsRef<[u8]>,
    {
        let mut page = Self::default();
        if call.empty_page {
            page.next = Some(call.next_link(&call.cursor()?.unwrap_or_default()));
            return Ok(page);
        }
        let size = call.page_size()?;
        let mut last: Option<K> = None;
        for (key, body) in entries {
            if page.entries == size {
                page.next = last.map(|last| call.next_link(last.as_ref()));
                break;
            }
            if page.entries > 0 {
                page.body.push(b',');
            }
            page.body.extend_from_slice(body.as_ref());
            page.entries += 1;
            last = Some(key);
        }
        Ok(page)
    }

    /// `{"value":[…],"nextLink":…}`.
    pub(super) fn answer(self) -> Answer {
        let mut body = Vec::with_capacity(self.body.len() + 256);
        body.extend_from_slice(b"{\"value\":[");
        body.extend_from_slice(&self.body);
        body.push(b']');
        if let Some(next) = self.next {
            body.extend_from_slice(b",\"nextLink\":");
            body.extend_from_slice(Value::String(next).to_string().as_bytes());
        }
        body.push(b'}');
        Answer::rendered(StatusCode::OK, body.into())
    }
}

/// `…/{type}`: every resource of the type below a subscription, group or resource, however deep.
///
/// `$filter` belongs to the provider here and is not evaluated.
///
/// # Errors
/// When the group or the parent resource is not there, or the paging parameters are not valid.
pub(super) fn collection(world: &World, call: &Call<'_>, parent: &Node, kind: &'static ResourceType) -> Result<Plan, Refusal> {
    check_node(world, call, parent)?;
    let cursor = call.cursor()?;
    let entries = world
        .resources_after(&parent.key, cursor.as_deref(), call.now)
        .filter(|resource| std::ptr::eq(resource.kind, kind))
        .map(|resource| (&resource.key, resource.body(call.now)));
    Ok(Page::of(call, entries)?.answer().into())
}

/// `…/resources` of a subscription or group.
///
/// # Errors
/// When the group is not there, or filter or paging parameters are not valid.
pub(super) fn resources(world: &World, call: &Call<'_>, node: &Node) -> Result<Plan, Refusal> {
    check_node(world, call, node)?;
    let filter = Filter::parse(call.query.get("$filter").as_deref().unwrap_or_default())?;
    let expand = call.query.get("$expand").unwrap_or_default();
    let expand: Vec<&str> = expand.split(',').map(str::trim).collect();
    let cursor = call.cursor()?;
    let entries = world
        .resources_after(&node.key, cursor.as_deref(), call.now)
        .filter(|resource| resource.kind.is_tracked() && filter.admits(resource))
        .map(|resource| (&resource.key, Value::Object(resource.summary(&expand, call.now)).to_string()));
    Ok(Page::of(call, entries)?.answer().into())
}

/// `…/resourceGroups`.
///
/// # Errors
/// When filter or paging parameters are not valid.
pub(super) fn groups(world: &World, call: &Call<'_>, root: &Node) -> Result<Plan, Refusal> {
    let filter = Filter::parse(call.query.get("$filter").as_deref().unwrap_or_default())?;
    let cursor = call.cursor()?;
    let entries = world
        .groups_after(&root.key, cursor.as_deref(), call.now)
        .filter(|group| filter.admits(group))
        .map(|group| (&group.key, group.body(call.now)));
    Ok(Page::of(call, entries)?.answer().into())
}

/// A list below something that is not there is a mistake of the client and not an empty list.
fn check_node(world: &World, call: &Call<'_>, node: &Node) -> Result<(), Refusal> {
    find_group(world, call, node.group_key.as_deref())?;
    if node.kind.is_some_and(ResourceType::is_writable) && world.resource(&node.key, call.now).is_none() {
        return Err(Refusal::ResourceNotFound(node.id.clone()));
    }
    Ok(())
}

/// The group of this key, if there is to be one.
///
/// # Errors
/// When it is not there.
pub(super) fn find_group<'a>(world: &'a World, call: &Call<'_>, key: Option<&str>) -> Result<Option<&'a Arc<Resource>>, Refusal> {
    let Some(key) = key else { return Ok(None) };
    let missing = || Refusal::GroupNotFound(key.rsplit('/').next().unwrap_or_default().to_owned());
    world.resource(key, call.now).map(Some).ok_or_else(missing)
}
