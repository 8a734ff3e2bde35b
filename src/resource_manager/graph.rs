//! Queries of the resource graph: the few words of its language that the mock knows. Source: Resource Graph, Resources, 2021-03-01.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use crate::arm::scope::Scope;
use crate::ids::SubscriptionId;

use super::address::Node;
use super::answer::Answer;
use super::call::{Call, Plan};
use super::refusal::Refusal;
use super::resource::{Document, Resource};
use super::subscriptions;
use super::world::World;

/// Rows of an answer. Source: as above, `$top`.
const ROWS_MAX: usize = 1_000;
/// Rows when nothing is asked for.
const ROWS: usize = 100;
/// Subscriptions that one query asks. Source: as above.
const SUBSCRIPTIONS_MAX: usize = 1_000;
/// Characters of a query that a refusal quotes.
const QUOTED_CHARS_MAX: usize = 64;

/// What a query does with the rows, one after the other.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Count,
    Project(Vec<String>),
    Take(usize),
    /// Of this type, in whatever casing.
    Where(String),
}

/// `POST /providers/Microsoft.ResourceGraph/resources`.
///
/// # Errors
/// When a subscription is not the actor's to ask, or the query says more than the mock knows.
pub(super) fn query(world: &World, call: &Call<'_>) -> Result<Plan, Refusal> {
    let document = call.document()?;
    let text = document.get("query").and_then(Value::as_str).ok_or_else(|| wrong("`query` is missing"))?;
    let steps = parse(text)?;
    let options = Options::read(document.get("options"))?;
    let mut rows = Vec::new();
    for id in asked(document)? {
        let subscription = subscriptions::find(world, call, id)?;
        require_scope(call, id)?;
        let root = Node::subscription(id);
        let all = world.resources_after(&root.key, None, call.now).filter(|resource| resource.kind.is_tracked());
        rows.extend(all.map(|resource| row(resource, id, &subscription.tenant.to_string(), call)));
    }
    let rows = steps.iter().fold(rows, carry_out);
    let total = rows.len();
    let data: Vec<Document> = rows.into_iter().skip(options.skip).take(options.top).collect();
    let next = options.skip.saturating_add(data.len());
    let is_truncated = next < total;
    let mut answer = json!({
        "totalRecords": total, "count": data.len(), "data": data, "facets": [], "resultTruncated": is_truncated.to_string(),
    });
    if let (Some(answer), true) = (answer.as_object_mut(), is_truncated) {
        answer.insert("$skipToken".to_owned(), next.to_string().into());
    }
    Ok(Answer::json(StatusCode::OK, &answer).into())
}

/// A grant on one subscription asks that one; a grant on the tenant asks whatever is the tenant's.
fn require_scope(call: &Call<'_>, id: SubscriptionId) -> Result<(), Refusal> {
    let scope = &call.actor.scope;
    let is_inside = scope.to_string() == "/" || scope.covers(&Scope::subscription(id));
    if is_inside { Ok(()) } else { Err(Refusal::OutsideScope(scope.to_string())) }
}

fn asked(document: &Document) -> Result<Vec<SubscriptionId>, Refusal> {
    let missing = || wrong(&format!("`subscriptions` has to list 1 to {SUBSCRIPTIONS_MAX} subscriptions"));
    let listed = document.get("subscriptions").and_then(Value::as_array).ok_or_else(missing)?;
    if listed.is_empty() || listed.len() > SUBSCRIPTIONS_MAX {
        return Err(missing());
    }
    let id = |one: &Value| {
        let text = one.as_str().unwrap_or_default();
        text.parse().ok().ok_or_else(|| Refusal::SubscriptionId(quoted(text)))
    };
    listed.iter().map(id).collect()
}

/// Which of the rows are answered.
#[derive(Debug)]
struct Options {
    skip: usize,
    top: usize,
}

impl Options {
    fn read(options: Option<&Value>) -> Result<Self, Refusal> {
        let given = |name: &str| options.and_then(|options| options.get(name)).filter(|value| !value.is_null());
        if given("resultFormat").is_some_and(|format| format != "objectArray") {
            return Err(wrong("`options.resultFormat` is not known; the mock knows `objectArray`"));
        }
        let number = |name: &str| {
            let read =
                |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok()).and_then(|number| usize::try_from(number).ok());
            given(name)
                .map(|value| read(value).ok_or_else(|| wrong(&format!("`options.{name}` has to be a whole number from 0"))))
                .transpose()
        };
        let top = number("$top")?.unwrap_or(ROWS).min(ROWS_MAX);
        let skip = number("$skipToken")?.or(number("$skip")?).unwrap_or_default();
        Ok(Self { skip, top })
    }
}

fn row(resource: &Resource, subscription: SubscriptionId, tenant: &str, call: &Call<'_>) -> Document {
    let mut row = resource.document(resource.provisioning_state(call.now));
    let group = resource.id().split('/').nth(4).unwrap_or_default().to_ascii_lowercase();
    let more = [
        ("type", resource.kind.full.to_ascii_lowercase()),
        ("resourceGroup", group),
        ("subscriptionId", subscription.to_string()),
        ("tenantId", tenant.to_owned()),
    ];
    row.extend(more.map(|(name, value)| (name.to_owned(), value.into())));
    row
}

fn carry_out(rows: Vec<Document>, step: &Step) -> Vec<Document> {
    match step {
        Step::Count => vec![Map::from_iter([("Count".to_owned(), rows.len().into())])],
        Step::Project(columns) => {
            let project = |row: Document| columns.iter().map(|name| (name.clone(), row.get(name).cloned().unwrap_or_default())).collect();
            rows.into_iter().map(project).collect()
        }
        Step::Take(count) => rows.into_iter().take(*count).collect(),
        Step::Where(kind) => {
            let is_of = |row: &Document| row.get("type").and_then(Value::as_str).is_some_and(|found| found.eq_ignore_ascii_case(kind));
            rows.into_iter().filter(is_of).collect()
        }
    }
}

fn parse(query: &str) -> Result<Vec<Step>, Refusal> {
    let mut parts = query.split('|').map(str::trim);
    let table = parts.next().unwrap_or_default();
    if !table.eq_ignore_ascii_case("Resources") {
        return Err(unknown(table));
    }
    parts.map(|part| step(part).ok_or_else(|| unknown(part))).collect()
}

fn step(text: &str) -> Option<Step> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    match word.to_ascii_lowercase().as_str() {
        "count" if rest.is_empty() => Some(Step::Count),
        "limit" | "take" => rest.parse().ok().map(Step::Take),
        "project" => {
            let columns: Vec<String> = rest.split(',').map(|name| name.trim().to_owned()).collect();
            columns.iter().all(|name| is_name(name)).then_some(Step::Project(columns))
        }
        "where" => {
            let kind = rest.strip_prefix("type")?.trim_start().strip_prefix("=~")?.trim_start();
            let inner = ['\'', '"'].into_iter().find_map(|quote| kind.strip_prefix(quote)?.strip_suffix(quote))?;
            (!inner.contains(['\'', '"'])).then(|| Step::Where(inner.to_owned()))
        }
        _ => None,
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn unknown(part: &str) -> Refusal {
    wrong(&format!(
        "the mock does not know `{}` in a query; it knows `Resources`, and after it `| where type =~ '…'`, `| project a, b`, `| limit n`, \
         `| take n` and `| count`",
        quoted(part)
    ))
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS_MAX).collect()
}

fn wrong(problem: &str) -> Refusal {
    Refusal::Content(problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_a_table_and_what_is_done_with_it() {
        assert_eq!(parse(" resources ").unwrap(), []);
        let all = parse("Resources | where type =~ 'Microsoft.Compute/disks' | project id,name | limit 3|take 2 | count").unwrap();
        let columns = ["id", "name"].map(str::to_owned).to_vec();
        let kind = "Microsoft.Compute/disks".to_owned();
        assert_eq!(all, [Step::Where(kind), Step::Project(columns), Step::Take(3), Step::Take(2), Step::Count]);
    }

    #[test]
    fn what_is_not_known_is_quoted_beside_what_is() {
        for (query, quoted) in [
            ("", "``"),
            ("ResourceContainers", "`ResourceContainers`"),
            ("Resources | where name =~ 'a'", "`where name =~ 'a'`"),
            ("Resources | where type =~ 'a' or type =~ 'b'", "`where type =~ 'a' or type =~ 'b'`"),
            ("Resources | where type == 'a'", "`where type == 'a'`"),
            ("Resources | summarize count() by type", "`summarize count() by type`"),
            ("Resources | project a = b", "`project a = b`"),
            ("Resources | take", "`take`"),
            ("Resources | take -1", "`take -1`"),
            ("Resources | count x", "`count x`"),
            ("Resources |", "``"),
        ] {
            let problem = parse(query).unwrap_err().to_string();
            assert!(problem.contains(quoted) && problem.contains("it knows `Resources`"), "{query}: {problem}");
        }
    }
}
