//! The way in: what this is, sign-up, sign-in, sign-out, and the tenants of whoever is in.

use askama::Template;
use hyper::StatusCode;

use super::field::Field;
use super::{Outcome, render, trouble};
use crate::form::Form;
use crate::ids::SubscriptionId;
use crate::portal::api::{Denial, Desk};
use crate::portal::text::Text;
use crate::portal::views::{PlanView, TenantView};
use crate::portal::visit::{Place, Shell, Visit};
use crate::portal::{Portal, SignUpForm, SignUpProblem};

/// Tenants whose plan and state the overview looks up; each is a question of its own.
const LOOKED_UP_MAX: usize = 12;
/// Characters of a name on a form.
const NAME_CHARS_MAX: usize = 256;
/// A token of more would not be taken by the gateway either.
const TOKEN_CHARS_MAX: usize = 32 * 1024;

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage {
    shell: Shell,
    plans: Vec<PlanView>,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    shell: Shell,
    denial: Option<Denial>,
    tenants: Vec<Row>,
    goes_on: bool,
}

/// A subscription of the overview.
struct Row {
    id: Text,
    name: Text,
    initials: String,
    tenant: Option<TenantView>,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    shell: Shell,
    next: String,
    problem: Option<Text>,
}

#[derive(Template)]
#[template(path = "sign_up.html")]
struct SignUpPage {
    shell: Shell,
    problem: Option<Text>,
    plans: Vec<PlanView>,
    chosen: String,
    plan_error: Option<Text>,
    code: Field,
    fields: Vec<Field>,
    issuer: Vec<Field>,
    has_issuer: bool,
}

pub(super) async fn home(visit: &Visit<'_>) -> Outcome {
    match visit.desk() {
        Some(desk) => tenants(visit, desk).await,
        None => {
            let plans = visit.portal.product.plans(None).into_iter().map(PlanView::from).collect();
            render(StatusCode::OK, &WelcomePage { shell: visit.shell("Welcome", Place::Outside), plans })
        }
    }
}

async fn tenants(visit: &Visit<'_>, desk: Desk<'_>) -> Outcome {
    let (listed, denial) = match desk.subscriptions().await {
        Ok(listed) => (listed, None),
        Err(denial) => (crate::portal::api::Listed::default(), Some(denial)),
    };
    let mut tenants = Vec::new();
    for (place, item) in listed.items.iter().enumerate() {
        let id = Text::at(item, "/subscriptionId");
        let tenant = match id.raw().parse::<SubscriptionId>() {
            Ok(id) if place < LOOKED_UP_MAX => desk.tenant(id).await.ok().map(|value| TenantView::read(&value)),
            Ok(_) | Err(_) => None,
        };
        let name = Text::at(item, "/displayName").or(&id);
        tenants.push(Row { initials: name.initials(), id, name, tenant });
    }
    let status = denial.as_ref().map_or(StatusCode::OK, |denial| denial.status);
    render(status, &HomePage { shell: visit.shell("Your tenants", Place::Outside), denial, tenants, goes_on: listed.goes_on })
}

pub(super) fn sign_in_page(visit: &Visit<'_>) -> Outcome {
    let next = visit.query().get("next").unwrap_or_default().to_owned();
    show_sign_in(visit, next, None)
}

fn show_sign_in(visit: &Visit<'_>, next: String, problem: Option<Text>) -> Outcome {
    let status = if problem.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    render(status, &SignInPage { shell: visit.shell("Sign in", Place::Outside), next, problem })
}

pub(super) async fn sign_in(visit: &mut Visit<'_>, form: &Form) -> Outcome {
    let next = form.get("next").unwrap_or_default().to_owned();
    let token = form.get("token").unwrap_or_default().trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
    if token.is_empty() || token.len() > TOKEN_CHARS_MAX {
        return show_sign_in(visit, next, Some(Text::from("Paste a whole access token; it has three parts with dots between them.")));
    }
    let signed_in = match visit.portal.product.sign_in(token).await {
        Ok(caller) => visit.sign_in(caller),
        Err(sentence) => Err(sentence),
    };
    match signed_in {
        Ok(()) => Outcome::Go(own_path(next)),
        Err(sentence) => show_sign_in(visit, next, Some(Text::from(sentence))),
    }
}

/// A path of the portal, or its front page: nobody is sent anywhere else.
fn own_path(next: String) -> String {
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_plain && Portal::serves(&next) && !next.starts_with("/sign-") { next } else { "/".to_owned() }
}

pub(super) fn sign_out(visit: &mut Visit<'_>) -> Outcome {
    visit.sign_out();
    Outcome::Go("/".to_owned())
}

pub(super) fn sign_up_page(visit: &Visit<'_>) -> Outcome {
    let chosen = visit.query();
    show_sign_up(visit, &chosen, None)
}

pub(super) async fn sign_up(visit: &mut Visit<'_>, form: &Form) -> Outcome {
    if form.get("show") == Some("plans") {
        return show_sign_up(visit, form, None);
    }
    let wanted = match read_sign_up(form) {
        Ok(wanted) => wanted,
        Err(problem) => return show_sign_up(visit, form, Some(&problem)),
    };
    let signed_up = match visit.portal.product.sign_up(&wanted).await {
        Ok(signed_up) => signed_up,
        Err(problem) => return show_sign_up(visit, form, Some(&problem)),
    };
    if let Err(sentence) = visit.sign_in(signed_up.caller) {
        return trouble(visit, StatusCode::SERVICE_UNAVAILABLE, &sentence);
    }
    visit.say(format!("{} is signed up. You are its administrator.", wanted.organisation));
    Outcome::Go(format!("/tenants/{}", signed_up.subscription))
}

fn read_sign_up(form: &Form) -> Result<SignUpForm, SignUpProblem> {
    let text = |name: &'static str, unsaid: &str| match form.get(name).map(str::trim).filter(|value| !value.is_empty()) {
        None => Err(SignUpProblem { field: Some(name), message: unsaid.to_owned() }),
        Some(value) if value.chars().count() > NAME_CHARS_MAX => {
            Err(SignUpProblem { field: Some(name), message: format!("This is longer than {NAME_CHARS_MAX} characters.") })
        }
        Some(value) => Ok(value.to_owned()),
    };
    let optional = |name: &str| form.get(name).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
    Ok(SignUpForm {
        organisation: text("organisation", "Say what your organisation is called.")?,
        person: text("person", "Say what you are called.")?,
        identity: text("identity", "Say what you sign in with, such as anna@juniper.example.")?,
        plan: text("plan", "Choose a plan.")?,
        invitation_code: optional("invitation_code"),
        issuer_name: optional("issuer_name"),
        issuer_key: optional("issuer_key"),
    })
}

fn show_sign_up(visit: &Visit<'_>, form: &Form, problem: Option<&SignUpProblem>) -> Outcome {
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let code = form.get("invitation_code").map(str::trim).filter(|code| !code.is_empty());
    let plans: Vec<_> = visit.portal.product.plans(code).into_iter().map(PlanView::from).collect();
    let at = problem.and_then(|problem| problem.field);
    let error = |name: &str| problem.filter(|_| at == Some(name)).map(|problem| Text::from(problem.message.as_str()));
    let filled = |field: Field| {
        let error = error(field.name);
        let value = form.get(field.name).unwrap_or_default();
        field.filled(value).failed(error)
    };
    let unopened = code.filter(|_| !plans.iter().any(|plan| plan.needs_code));
    let mut code = filled(Field::line("invitation_code", "Invitation code", "Opens plans that are not offered to everybody.").optional());
    if code.error.is_none() {
        code.error = unopened.map(|_| Text::from("This code opens no plan. Check it with whoever sent it to you."));
    }
    let issuer = vec![
        filled(Field::line("issuer_name", "Address of your issuer", "What stands in the claim iss of its tokens.").optional()),
        filled(Field::lines("issuer_key", "Its public key", "A JSON Web Key Set, or one such key (JWK).").optional()),
    ];
    let page = SignUpPage {
        shell: visit.shell("Sign up", Place::Outside),
        problem: problem
            .map(|problem| Text::from(if at.is_some() { "Something has to be different; see below." } else { &problem.message })),
        chosen: form.get("plan").unwrap_or_default().to_owned(),
        plan_error: error("plan"),
        code,
        fields: vec![
            filled(Field::line("organisation", "Organisation", "As it stands on an invoice.").completed_as("organization")),
            filled(Field::line("person", "Your name", "You become the administrator.").completed_as("name")),
            filled(Field::line("identity", "You sign in as", "Such as anna@juniper.example.").completed_as("username")),
        ],
        has_issuer: issuer.iter().any(|field| !field.value.is_empty() || field.error.is_some()),
        issuer,
        plans,
    };
    render(status, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere_after_signing_in() {
        for own in ["/", "/tenants/x/machines/new"] {
            assert_eq!(own_path(own.to_owned()), own);
        }
        for foreign in
            ["", "//evil.example", "https://evil.example", "/\\evil.example", "/tenants/\r\nx", "/tenants/\\\\x", "/sign-out", "/tenants/ä"]
        {
            assert_eq!(own_path(foreign.to_owned()), "/");
        }
    }
}
