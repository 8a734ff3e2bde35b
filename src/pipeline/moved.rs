//! What `moveResources` moves, and where to. Source: Resources, Move Resources and Validate Move Resources, 2021-04-01.

use serde::Deserialize;
use serde_json::Value;

use crate::arm::action::Action;
use crate::arm::names;
use crate::arm::path::CanonicalPath;
use crate::arm::scope::Scope;
use crate::json;

/// Resources that one request moves. Source: Azure Resource Manager, "Move resources to a new resource group or subscription".
const RESOURCES_MAX: usize = 800;
/// How much of a refused text an error shows, in characters.
const SHOWN_MAX: usize = 128;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Move {
    resources: Vec<String>,
    target_resource_group: String,
}

/// Where a request moves resources of the group `source` to.
///
/// # Errors
/// When its body is not of the form, moves what does not lie in the group, or moves nowhere else; with what is wrong.
pub(super) fn target(body: &[u8], source: &Scope) -> Result<Scope, String> {
    let document: Value = json::strict(body).map_err(|cause| format!("the body is not the JSON that is expected: {cause}"))?;
    let Move { resources, target_resource_group } =
        serde_json::from_value(document).map_err(|cause| format!("the body is not the JSON that is expected: {cause}"))?;
    if resources.is_empty() || resources.len() > RESOURCES_MAX {
        return Err(format!("`resources` names {} resources; allowed: 1 to {RESOURCES_MAX}", resources.len()));
    }
    for id in &resources {
        let lies_there = read(id).is_some_and(|resource| source.covers(&resource) && resource.segments().nth(2).is_some());
        if !lies_there {
            return Err(format!("`resources` names `{}`, which is no resource of the group that is moved from", shown(id)));
        }
    }
    let target = read(&target_resource_group).filter(|target| target.resource_group_name().is_some() && target.segments().count() == 2);
    let target = target
        .ok_or_else(|| format!("`targetResourceGroup` is `{}`, which is not the id of a resource group", shown(&target_resource_group)))?;
    if target == *source {
        return Err("`targetResourceGroup` is the group that is moved from".to_owned());
    }
    Ok(target)
}

/// What the target group has to permit.
pub(super) fn action() -> Option<Action> {
    "Microsoft.Resources/subscriptions/resourceGroups/write".parse().ok()
}

/// An id that every reader reads as this scope.
fn read(id: &str) -> Option<Scope> {
    let path = CanonicalPath::parse(id).ok().filter(|path| path.as_str() == id)?;
    names::check(&path).ok()?;
    let segments: Vec<&str> = path.segments().collect();
    Scope::from_segments(&segments).ok().filter(|scope| scope.subscription_id().is_some())
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUB: &str = "/subscriptions/8f2c1a10-0000-4000-8000-000000000001";

    #[track_caller]
    fn check(resources: &[&str], to: &str, expected: Result<&str, &str>) {
        let at = |text: &str| text.replacen('~', SUB, 1);
        let source = Scope::parse(&at("~/resourceGroups/rg")).unwrap();
        let resources: Vec<String> = resources.iter().map(|id| at(id)).collect();
        let body = serde_json::json!({ "resources": resources, "targetResourceGroup": at(to) }).to_string();
        match (target(body.as_bytes(), &source), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.to_string(), at(expected)),
            (Err(problem), Err(expected)) => assert!(problem.contains(expected), "{problem}"),
            (found, expected) => panic!("{body}: {found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn what_is_moved_lies_in_the_group_and_goes_to_another() {
        let vm = "~/resourceGroups/RG/providers/Microsoft.Compute/virtualMachines/vm";
        check(&[vm], "~/resourceGroups/other", Ok("~/resourceGroups/other"));
        check(&[], "~/resourceGroups/other", Err("names 0 resources"));
        check(&[vm; 800], "~/resourceGroups/other", Ok("~/resourceGroups/other"));
        check(&[vm; 801], "~/resourceGroups/other", Err("names 801 resources"));
        for elsewhere in [
            "~/resourceGroups/rg",
            "~/resourceGroups/rg2/providers/A.B/c/d",
            "~/resourceGroups/rg/../rg2/providers/A.B/c/d",
            "~/resourceGroups/rg//providers/A.B/c/d",
            "~/resourceGroups/rg/providers/A.B/c/d%2Fe",
            "~/resourceGroups/rg/providers/A.B/c/d?x",
            "/subscriptions/8f2c1a10-0000-4000-8000-000000000002/resourceGroups/rg/providers/A.B/c/d",
            "vm",
        ] {
            check(&[vm, elsewhere], "~/resourceGroups/other", Err("no resource of the group"));
        }
        check(&[vm], "~/resourceGroups/Rg", Err("is the group that is moved from"));
        for nowhere in [
            "~",
            "~/resourceGroups",
            "~/resourceGroups/other/providers/A.B/c/d",
            "other",
            "/providers/Microsoft.Management/managementGroups/g",
        ] {
            check(&[vm], nowhere, Err("is not the id of a resource group"));
        }
    }

    #[test]
    fn what_cannot_be_moved_is_named_cut_and_without_control_characters() {
        check(&["a\u{1b}b"], "~/resourceGroups/other", Err("names `a\u{fffd}b`, which is no resource"));
        check(&[&"x".repeat(128)], "~/resourceGroups/other", Err(&format!("names `{}`, which is no resource", "x".repeat(128))));
        check(&[&"x".repeat(129)], "~/resourceGroups/other", Err(&format!("names `{}`, which is no resource", "x".repeat(128))));
        let vm = "~/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm";
        check(&[vm], "elsewhere", Err("`targetResourceGroup` is `elsewhere`, which is not"));
    }

    #[test]
    fn a_body_of_another_form_moves_nothing() {
        let source = Scope::parse(&format!("{SUB}/resourceGroups/rg")).unwrap();
        for body in [
            "",
            "{}",
            "[]",
            r#"{"resources":[]}"#,
            r#"{"resources":[],"resources":[],"targetResourceGroup":""}"#,
            r#"{"resources":[],"Resources":[],"targetResourceGroup":""}"#,
        ] {
            assert!(target(body.as_bytes(), &source).unwrap_err().contains("not the JSON"), "{body}");
        }
    }
}
