//! The services of Service Provider Foundation, and the tenant API's way to one of them.
//!
//! One engine for all: the path and the query are read by the service's model, entities are made from documents of the management plane, and
//! what is written becomes management requests. Never: another way to the fabric; a decision; an on-behalf value that a client sent.

mod address;
mod checkpoints;
mod machines;
mod on_behalf;
mod owners;
mod places;
mod problem;
mod roles;
mod sets;
mod show;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use tokio::sync::OnceCell;

use super::answer::Answer;
use super::{Call, Front, header};
use crate::odata::write::{self, TEXT};
use crate::odata::{
    Changes, Entity, EntitySet, Format, FormatOption, ODataError, Query, Resource, Update, Writer, body, check_version, effective_method,
    metadata, path, query,
};
use crate::pipeline::CameIn;

use places::{Narrow, Place};
use problem::{Problem, written};

pub(super) use address::Address;

/// Entities of one answer.
const PAGE_MAX: usize = 200;
/// Bytes of their values; one entity is shown however large it is.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// The version of answers without a document.
const VERSION: &str = "2.0;";

/// One request.
struct Spf<'c> {
    call: &'c Call<'c>,
    address: &'c Address,
    root: String,
    visible: OnceCell<Vec<Place>>,
}

/// What it asks for.
struct Asked<'c> {
    method: &'c str,
    resource: Resource,
    query: Query,
    format: Format,
}

impl Front {
    /// Answers a request for one of the services; refusals as well are in the format that the client reads.
    pub(super) async fn odata(&self, address: &Address, head: &Parts, body: Incoming, came_in: CameIn) -> Answer {
        let format = format(head, None).unwrap_or(Format::Atom);
        let call = match self.authenticated(head, came_in).await {
            Ok(call) => call,
            Err(refusal) => return Problem::Passed(refusal).answer(format),
        };
        if address.needs_principal
            && let Err(refusal) = call.require_principal().await
        {
            return Problem::Passed(refusal).answer(format);
        }
        let root = format!("https://{}{}", call.host(), address.root);
        let spf = Spf { call: &call, address, root, visible: OnceCell::new() };
        match spf.asked() {
            Ok(asked) => spf.carry_out(&asked, body).await.unwrap_or_else(|problem| problem.answer(asked.format)),
            Err(error) => Problem::OData(error).answer(format),
        }
    }
}

fn format(head: &Parts, option: Option<FormatOption>) -> Result<Format, ODataError> {
    Format::of(header(&head.headers, "accept"), header(&head.headers, "maxdataserviceversion"), option)
}

impl Spf<'_> {
    fn asked(&self) -> Result<Asked<'_>, ODataError> {
        let head = self.call.head;
        let method = effective_method(head.method.as_str(), header(&head.headers, "x-http-method"))?;
        if let Some(version) = header(&head.headers, "dataserviceversion") {
            check_version(version)?;
        }
        let resource = path::parse(self.address.model, &self.address.rest)?;
        let query = query::parse(&resource, head.uri.query().unwrap_or_default())?;
        let format = format(head, query.format)?;
        Ok(Asked { method, resource, query, format })
    }

    async fn carry_out(&self, asked: &Asked<'_>, body: Incoming) -> Result<Answer, Problem> {
        self.require_tenant().await?;
        self.check_headers().await?;
        match (asked.method, &asked.resource) {
            ("GET", _) => self.read(asked).await,
            ("POST", Resource::Set(set)) => {
                let changes = self.changes(set, body).await?;
                match set.entity_type.name {
                    "VirtualMachine" => self.create_machine(asked, set, &changes).await,
                    "VMCheckpoint" => self.create_checkpoint(&changes).await,
                    "UserRole" => self.create_role(asked, set, &changes).await,
                    _ => Err(refused(asked.method, set)),
                }
            }
            (method, Resource::Entity(set, key)) => {
                if method == "DELETE" {
                    return match set.entity_type.name {
                        "VirtualMachine" => self.delete_machine(key).await,
                        "VMCheckpoint" => self.delete_checkpoint(key).await,
                        "UserRole" => self.delete_role(set, key).await,
                        "Tenant" => self.delete_tenant(key).await,
                        _ => Err(refused(method, set)),
                    };
                }
                let update = Update::of_method(method).ok_or_else(|| refused(method, set))?;
                let changes = self.changes(set, body).await?;
                match set.entity_type.name {
                    "VirtualMachine" => self.update_machine(set, key, &changes, update).await,
                    "VMCheckpoint" => self.update_checkpoint(set, key, &changes, update).await,
                    _ => Err(refused(method, set)),
                }
            }
            (method, resource) => Err(Problem::Method {
                method: method.chars().take(32).collect(),
                what: resource.set().map_or("this document", |set| set.name),
            }),
        }
    }

    /// A root that names a tenant leads nowhere for whoever cannot see it, as if it were unknown.
    async fn require_tenant(&self) -> Result<(), Problem> {
        match self.address.tenant {
            Some(tenant) if !self.visible().await?.contains(&Place::tenant(tenant)) => Err(Problem::NotFound),
            Some(_) | None => Ok(()),
        }
    }

    async fn changes(&self, set: &'static EntitySet, incoming: Incoming) -> Result<Changes, Problem> {
        let bytes = self.call.read(incoming).await?;
        Ok(body::read(set.entity_type, header(&self.call.head.headers, "content-type"), &bytes)?)
    }

    async fn read(&self, asked: &Asked<'_>) -> Result<Answer, Problem> {
        let writer = self.writer(asked.format);
        let narrow = Narrow { key: None, filter: asked.query.filter.as_ref() };
        match &asked.resource {
            Resource::Metadata => Ok(plain(metadata::CONTENT_TYPE, metadata::xml(self.address.model))),
            Resource::ServiceDocument => Ok(written(StatusCode::OK, writer.service_document())),
            Resource::Set(set) => {
                let entities = self.entities(set, narrow).await?;
                let page = asked.query.page(set, entities.into_iter(), PAGE_MAX, PAGE_BYTES_MAX);
                Ok(written(StatusCode::OK, writer.feed(set, &asked.query.select, &page)))
            }
            Resource::Count(set) => {
                let entities = self.entities(set, narrow).await?;
                Ok(plain(TEXT, asked.query.count(entities.into_iter()).to_string()))
            }
            Resource::Entity(set, key) => {
                let entity = self.entity(set, key).await?;
                Ok(written(StatusCode::OK, writer.entry(set, &asked.query.select, &entity)))
            }
            Resource::Property(set, key, column) => {
                let entity = self.entity(set, key).await?;
                Ok(written(StatusCode::OK, writer.property(*column, &entity)))
            }
            Resource::PropertyValue(set, key, column) => {
                let entity = self.entity(set, key).await?;
                let value = write::raw_value(entity.at(*column)).ok_or(Problem::NotFound)?;
                Ok(plain(TEXT, value))
            }
        }
    }

    fn writer(&self, format: Format) -> Writer<'_> {
        Writer { model: self.address.model, root: &self.root, format, updated: self.call.front.gateway.clock.now() }
    }

    /// The answer to what was made.
    fn created(&self, asked: &Asked<'_>, set: &'static EntitySet, entity: &Entity) -> Answer {
        let answer = written(StatusCode::CREATED, self.writer(asked.format).entry(set, &asked.query.select, entity));
        answer.with("location", write::entity_url(&self.root, set, entity))
    }
}

fn refused(method: &str, set: &'static EntitySet) -> Problem {
    Problem::Method { method: method.chars().take(32).collect(), what: set.name }
}

fn plain(content_type: &'static str, text: String) -> Answer {
    let headers = vec![("dataserviceversion", VERSION.to_owned())];
    Answer { status: StatusCode::OK, body: text.into(), content_type, headers }
}

/// The answer to what was changed, or will be by a job.
fn done() -> Answer {
    Answer { status: StatusCode::NO_CONTENT, ..plain(TEXT, String::new()) }
}
