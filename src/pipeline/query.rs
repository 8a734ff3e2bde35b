//! What a query of the resource graph is about. Source: Resource Graph, Resources, 2021-03-01.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::arm::action::Action;
use crate::arm::scope::Scope;
use crate::ids::SubscriptionId;
use crate::json;

/// Subscriptions that one query asks. Source: the same; clients send no more.
const SUBSCRIPTIONS_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Query {
    subscriptions: Option<Vec<SubscriptionId>>,
    management_groups: Option<Value>,
    #[serde(rename = "query")]
    _query: String,
    options: Option<Map<String, Value>>,
    #[serde(rename = "facets")]
    _facets: Option<Value>,
}

/// What does not change about which resources a query is.
const OPTIONS: [&str; 5] = ["$skip", "$skipToken", "$top", "allowPartialScopes", "resultFormat"];

/// The subscriptions that a query asks.
///
/// # Errors
/// When it does not list them, or asks more; with what is wrong.
pub(super) fn subscriptions(body: &[u8]) -> Result<Vec<Scope>, String> {
    let malformed = |cause: serde_json::Error| format!("the body is not the JSON that is expected: {cause}");
    let query: Query = json::strict(body).and_then(serde_json::from_value).map_err(malformed)?;
    if query.management_groups.is_some_and(|groups| !groups.is_null()) {
        return Err("`managementGroups` cannot be asked through this gateway; list their subscriptions in `subscriptions`".to_owned());
    }
    if let Some(option) = query.options.iter().flat_map(Map::keys).find(|name| !OPTIONS.contains(&name.as_str())) {
        return Err(format!("the option `{}` is none of {}", option.chars().take(64).collect::<String>(), OPTIONS.join(", ")));
    }
    let listed = query.subscriptions.unwrap_or_default();
    match listed.len() {
        0 => Err("`subscriptions` has to list what is asked: without it, a query would be about whatever the gateway may read".to_owned()),
        1..=SUBSCRIPTIONS_MAX => Ok(listed.into_iter().map(Scope::subscription).collect()),
        more => Err(format!("`subscriptions` lists {more}; allowed: {SUBSCRIPTIONS_MAX}")),
    }
}

/// What the caller has to be permitted on each of them: all of it, and of nothing nobody is permitted anything. Only roles that read everything
/// have the first: what a query finds there, nobody cuts down.
pub(super) fn actions() -> Vec<Action> {
    let all = ["Microsoft.ResourceGraph/resources/read", "Microsoft.Resources/subscriptions/resources/read"];
    all.iter().map(|action| action.parse()).collect::<Result<_, _>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "8f2c1a10-0000-4000-8000-000000000001";

    #[track_caller]
    fn refused(body: &Value, expected: &str) {
        let problem = subscriptions(body.to_string().as_bytes()).unwrap_err();
        assert!(problem.contains(expected), "{body}: {problem}");
    }

    #[test]
    fn a_query_lists_what_it_is_about() {
        use serde_json::json;
        let body = json!({ "subscriptions": [ID], "query": "Resources", "options": { "$top": 5 } }).to_string();
        assert_eq!(subscriptions(body.as_bytes()).unwrap(), [Scope::subscription(ID.parse().unwrap())]);
        refused(&json!({ "query": "Resources" }), "has to list what is asked");
        refused(&json!({ "query": "Resources", "subscriptions": [] }), "has to list what is asked");
        refused(&json!({ "query": "Resources", "subscriptions": null }), "has to list what is asked");
        refused(&json!({ "query": "Resources", "subscriptions": vec![ID; 1001] }), "lists 1001");
        let most = json!({ "query": "Resources", "subscriptions": vec![ID; 1000], "managementGroups": null }).to_string();
        assert_eq!(subscriptions(most.as_bytes()).map(|listed| listed.len()), Ok(1000));
        refused(&json!({ "query": "Resources", "subscriptions": ["all"] }), "not the JSON");
        refused(&json!({ "query": "Resources", "subscriptions": [ID], "Subscriptions": [] }), "not the JSON");
        refused(&json!({ "query": "Resources", "subscriptions": [ID], "managementGroups": ["mg"] }), "`managementGroups` cannot be asked");
        refused(
            &json!({ "query": "Resources", "subscriptions": [ID], "options": { "authorizationScopeFilter": "AtScopeAboveAndBelow" } }),
            "authorizationScopeFilter",
        );
        let twice = format!(r#"{{"query":"Resources","subscriptions":["{ID}"],"subscriptions":[]}}"#);
        assert!(subscriptions(twice.as_bytes()).is_err());
    }
}
