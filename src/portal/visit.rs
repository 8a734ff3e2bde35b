//! One request of one visitor, and the frame of the page that answers it.

use std::sync::Arc;

use hyper::header;
use hyper::http::request::Parts;

use super::Portal;
use super::api::Desk;
use super::assets::ASSETS;
use super::session::{Flash, Visitor};
use super::text::Text;
use super::views::Service;
use crate::clock::Timestamp;
use crate::form::Form;
use crate::identity::Caller;
use crate::ids::SubscriptionId;

pub(super) struct Visit<'a> {
    pub(super) portal: &'a Portal,
    head: &'a Parts,
    visitor: Visitor,
    cookie: Option<String>,
}

/// The tenant that a page is about, as far as it is known.
#[derive(Debug, Clone)]
pub(super) struct Tenancy {
    pub(super) id: SubscriptionId,
    pub(super) name: Text,
    pub(super) services: Vec<Service>,
}

/// Where in the portal a page is.
#[derive(Clone, Copy)]
pub(super) enum Place<'p> {
    Outside,
    Tenant(&'p Tenancy, Area),
}

/// An entry of the navigation of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Area {
    Checkpoints,
    Machines,
    Networks,
    Overview,
    Ownership,
    Usage,
}

/// Every area, in the order of the navigation: its address, name, symbol, and the service that it needs.
const AREAS: [(Area, &str, &str, &str, Option<Service>); 6] = [
    (Area::Overview, "", "Overview", "home", None),
    (Area::Machines, "/machines", "Virtual machines", "screen", Some(Service::VirtualMachines)),
    (Area::Networks, "/networks", "Networks", "net", Some(Service::Networks)),
    (Area::Checkpoints, "/checkpoints", "Checkpoints", "flag", Some(Service::Checkpoints)),
    (Area::Usage, "/usage", "Usage", "gauge", Some(Service::Usage)),
    (Area::Ownership, "/ownership", "Ownership", "swap", Some(Service::Transfers)),
];

/// An entry of the navigation, as the layout shows it.
pub(super) struct Link {
    pub(super) href: String,
    pub(super) label: &'static str,
    pub(super) icon: &'static str,
    pub(super) is_current: bool,
}

/// A name with the letters that stand for it.
pub(super) struct Badge {
    pub(super) name: Text,
    pub(super) initials: String,
    pub(super) href: String,
}

/// What the layout shows around every page.
pub(super) struct Shell {
    pub(super) title: Text,
    pub(super) style: &'static str,
    pub(super) script: &'static str,
    pub(super) icon: &'static str,
    pub(super) person: Option<Badge>,
    pub(super) tenant: Option<Badge>,
    pub(super) links: Vec<Link>,
    pub(super) flash: Option<Flash>,
    /// Of every form.
    pub(super) token: String,
    pub(super) version: &'static str,
}

impl<'a> Visit<'a> {
    pub(super) fn new(portal: &'a Portal, visitor: Visitor, head: &'a Parts) -> Self {
        let cookie = visitor.is_new.then(|| portal.sessions.set_cookie(&visitor.id));
        Self { portal, head, visitor, cookie }
    }

    pub(super) fn path(&self) -> &'a str {
        self.head.uri.path()
    }

    /// The query of the address; a broken one is none.
    pub(super) fn query(&self) -> Form {
        Form::parse(self.head.uri.query().unwrap_or_default().as_bytes()).unwrap_or_default()
    }

    /// Whether the script asks, which reads figures and not pages.
    pub(super) fn wants_json(&self) -> bool {
        self.head.headers.get(header::ACCEPT).is_some_and(|accept| accept == "application/json")
    }

    pub(super) fn now(&self) -> Timestamp {
        self.portal.clock.now()
    }

    pub(super) const fn caller(&self) -> Option<&Arc<Caller>> {
        self.visitor.caller.as_ref()
    }

    pub(super) fn desk(&self) -> Option<Desk<'_>> {
        Some(Desk { product: &*self.portal.product, who: self.caller()? })
    }

    pub(super) fn knows(&self, form: &Form) -> bool {
        form.get("form").is_some_and(|token| self.portal.sessions.knows_form(&self.visitor.id, token))
    }

    /// Whoever this was is now this person.
    pub(super) fn sign_in(&mut self, caller: Arc<Caller>) -> Result<(), String> {
        let opened = self.portal.sessions.open(&self.visitor, caller).map_err(|unspecified| unspecified.to_string())?;
        self.visitor = opened.map_err(|full| full.to_string())?;
        self.cookie = Some(self.portal.sessions.set_cookie(&self.visitor.id));
        Ok(())
    }

    pub(super) fn sign_out(&mut self) {
        if let Some(caller) = self.visitor.caller.take() {
            self.portal.sessions.end(caller.principal);
        }
        self.cookie = Some(self.portal.sessions.clear_cookie());
    }

    /// Says something on the next page.
    pub(super) fn say(&self, text: impl Into<Text>) {
        self.portal.sessions.leave(&self.visitor.id, Flash { good: true, text: text.into() });
    }

    pub(super) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    pub(super) fn shell(&self, title: impl Into<Text>, place: Place<'_>) -> Shell {
        let person = self.caller().map(|caller| {
            let name = Text::from(&*caller.name);
            Badge { initials: name.initials(), name, href: String::new() }
        });
        let (tenant, links) = match place {
            Place::Outside => (None, Vec::new()),
            Place::Tenant(tenancy, area) => (Some(tenancy.badge()), tenancy.links(area)),
        };
        Shell {
            title: title.into(),
            style: &ASSETS.style.path,
            script: &ASSETS.script.path,
            icon: &ASSETS.icon.path,
            flash: self.caller().and_then(|_| self.portal.sessions.take_flash(&self.visitor.id)),
            token: self.portal.sessions.form_token(&self.visitor.id),
            version: env!("CARGO_PKG_VERSION"),
            person,
            tenant,
            links,
        }
    }
}

impl Tenancy {
    pub(super) fn has(&self, service: Service) -> bool {
        self.services.contains(&service)
    }

    pub(super) fn page(&self) -> String {
        format!("/tenants/{}", self.id)
    }

    fn badge(&self) -> Badge {
        Badge { name: self.name.clone(), initials: self.name.initials(), href: self.page() }
    }

    /// What the plan does not hold is not there.
    fn links(&self, here: Area) -> Vec<Link> {
        let open = AREAS.into_iter().filter(|(.., needed)| needed.is_none_or(|service| self.has(service)));
        let link = |(area, tail, label, icon, _)| Link { href: format!("{}{tail}", self.page()), label, icon, is_current: area == here };
        open.map(link).collect()
    }
}
