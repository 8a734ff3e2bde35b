//! From a request to its answer: authenticate, route, read, plan, store, reply.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;

use crate::https::{self, Drained, Limits, Stop};
use crate::ids::{CloudId, HostId, JobId, StampId, UserRoleId, VmId};
use crate::vmm::{NewVm, Operation, Power, Transfer, UserRole, VmChange};

use super::Fabric;
use super::connection::{Acting, Caller};
use super::faults::Point;
use super::lists::Look;
use super::refused::{Answer, Refused, problem};
use super::store::present;
use super::world::{Change, Draft, World};
use super::{jobs, machines, roles, transfer};

/// Requests that are worked on at once. Source: Service Provider Foundation, its default.
pub(super) const REQUESTS_MAX: usize = 1_000;
const BODY_BYTES_MAX: usize = 1024 * 1024;
const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// What a client that came too many is told to wait, in seconds.
const RETRY_AFTER_S: &str = "1";

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    Clouds,
    Host(HostId),
    Hosts,
    Job(JobId),
    Jobs,
    Machine(VmId),
    MachineOfNobody(StampId, Box<str>),
    MachineOfRole(UserRoleId, CloudId, Box<str>),
    Machines,
    Networks,
    Operations(VmId),
    Role(UserRoleId),
    Roles,
    Stamps,
    Templates,
    Transfer(VmId),
    Usage,
}

/// What is to be changed.
#[derive(Debug)]
enum Command {
    Change(VmId, VmChange),
    Create(Box<NewVm>),
    Delete(VmId),
    DeleteRole(UserRoleId),
    Operate(VmId, Operation),
    PutRole(UserRoleId, Box<UserRole>),
    Transfer(VmId, Transfer),
    Turn(HostId, Power),
}

/// The body of `PATCH /hosts/{id}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostChange {
    pub(super) power: Power,
}

impl Fabric {
    /// Serves until `stop` turns true, then drains.
    pub async fn run(self: Arc<Self>, listener: TcpListener, tls: Arc<ServerConfig>, stop: Stop) -> Drained {
        let handler = move |request, _connection| {
            let fabric = Arc::clone(&self);
            async move { fabric.answer(request).await }
        };
        https::serve(listener, Some(tls), Limits::default(), stop, handler).await
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Ok(_slot) = self.slots.try_acquire() else {
            let message = format!("{REQUESTS_MAX} requests are being worked on");
            let problem = problem("TooManyRequests", message, "Try again in a second.");
            return response(Refused { status: StatusCode::SERVICE_UNAVAILABLE, problem }.into());
        };
        let (head, body) = request.into_parts();
        let number = self.journal.keep(present(&self.clock), &head);
        let answer = self.exchange(&head, body, number).await.unwrap_or_else(Answer::from);
        self.journal.answered(number, answer.status);
        response(answer)
    }

    async fn exchange(&self, head: &Parts, body: Incoming, number: u64) -> Result<Answer, Refused> {
        let caller = Caller::verify(&self.trust, head, present(&self.clock))?;
        self.journal.connected(number, &caller.connection);
        let path = head.uri.path();
        let route = Route::parse(path).ok_or_else(|| Refused::missing("PathNotFound", format!("`{path}` is no path of the fabric")))?;
        self.faults.refuse(&head.method, path).await?;
        let command = if head.method == Method::GET { None } else { Some(command(&head.method, route.clone(), body).await?) };
        self.faults.pause(Point::BeforeStore, &head.method, path).await;
        let answer = match command {
            None => self.read(&caller, &route, head.uri.query().unwrap_or_default()).await,
            Some(command) => {
                self.writer
                    .order(move |draft| {
                        let acting = caller.acting(draft.world())?;
                        carry_out(draft, &caller, &acting, command)
                    })
                    .await
            }
        };
        self.faults.pause(Point::BeforeAnswer, &head.method, path).await;
        answer
    }

    async fn read(&self, caller: &Caller, route: &Route, query: &str) -> Result<Answer, Refused> {
        let world = self.current().await?;
        let acting = caller.acting(&world)?;
        let look = Look { world: &world, acting: &acting, query, now: present(&self.clock) };
        look.require_known()?;
        match route {
            Route::Clouds => look.clouds(),
            Route::Hosts => look.hosts(),
            Route::Job(id) => look.job(*id),
            Route::Jobs => look.jobs(),
            Route::Machine(id) => look.machine(*id),
            Route::MachineOfNobody(stamp, name) => look.machine_of_nobody(*stamp, name),
            Route::MachineOfRole(role, cloud, name) => look.machine_of_role(*role, *cloud, name),
            Route::Machines => look.machines(),
            Route::Networks => look.networks(),
            Route::Role(id) => look.role(*id),
            Route::Roles => look.roles(),
            Route::Stamps => look.stamps(),
            Route::Templates => look.templates(),
            Route::Usage => look.usage(),
            Route::Host(_) | Route::Operations(_) | Route::Transfer(_) => Err(not_allowed(&Method::GET)),
        }
    }

    /// The world with everything in it that should have happened by now.
    async fn current(&self) -> Result<Arc<World>, Refused> {
        let is_settled = self.world.borrow().first_due(present(&self.clock)).is_none();
        if !is_settled {
            self.writer.order(|_settled| Ok(Answer::empty())).await?;
        }
        Ok(Arc::clone(&self.world.borrow()))
    }
}

impl Route {
    fn parse(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        match segments.as_slice() {
            ["clouds"] => Some(Self::Clouds),
            ["hosts"] => Some(Self::Hosts),
            ["hosts", id] => id.parse().ok().map(Self::Host),
            ["jobs"] => Some(Self::Jobs),
            ["jobs", id] => id.parse().ok().map(Self::Job),
            ["networks"] => Some(Self::Networks),
            ["roles"] => Some(Self::Roles),
            ["roles", id] => id.parse().ok().map(Self::Role),
            ["roles", role, "machines", cloud, name] => Some(Self::MachineOfRole(role.parse().ok()?, cloud.parse().ok()?, (*name).into())),
            ["stamps"] => Some(Self::Stamps),
            ["stamps", stamp, "machines", name] => Some(Self::MachineOfNobody(stamp.parse().ok()?, (*name).into())),
            ["templates"] => Some(Self::Templates),
            ["usage"] => Some(Self::Usage),
            ["vms"] => Some(Self::Machines),
            ["vms", id] => id.parse().ok().map(Self::Machine),
            ["vms", id, "operations"] => id.parse().ok().map(Self::Operations),
            ["vms", id, "transfer"] => id.parse().ok().map(Self::Transfer),
            _ => None,
        }
    }
}

async fn command(method: &Method, route: Route, body: Incoming) -> Result<Command, Refused> {
    match (method, route) {
        (&Method::DELETE, Route::Machine(id)) => Ok(Command::Delete(id)),
        (&Method::DELETE, Route::Role(id)) => Ok(Command::DeleteRole(id)),
        (&Method::PATCH, Route::Host(id)) => document(body).await.map(|HostChange { power }| Command::Turn(id, power)),
        (&Method::PATCH, Route::Machine(id)) => document(body).await.map(|change| Command::Change(id, change)),
        (&Method::POST, Route::Machines) => document(body).await.map(|new| Command::Create(Box::new(new))),
        (&Method::POST, Route::Operations(id)) => document(body).await.map(|operation| Command::Operate(id, operation)),
        (&Method::POST, Route::Transfer(id)) => document(body).await.map(|transfer| Command::Transfer(id, transfer)),
        (&Method::PUT, Route::Role(id)) => document(body).await.map(|role| Command::PutRole(id, Box::new(role))),
        (method, _route) => Err(not_allowed(method)),
    }
}

fn carry_out(draft: &mut Draft, caller: &Caller, acting: &Acting, command: Command) -> Result<Answer, Refused> {
    if let Command::Change(id, _) | Command::Delete(id) | Command::Operate(id, _) = &command {
        machines::check_holder(draft.world(), acting, caller.holder, *id)?;
    }
    match command {
        Command::Change(id, change) => machines::change(draft, caller, acting, id, change),
        Command::Create(new) => machines::create(draft, caller, acting, *new),
        Command::Delete(id) => machines::delete(draft, caller, acting, id),
        Command::DeleteRole(id) => roles::delete(draft, acting, id),
        Command::Operate(id, operation) => machines::operate(draft, caller, acting, id, operation),
        Command::PutRole(id, role) => roles::put(draft, acting, id, *role),
        Command::Transfer(id, transfer) => transfer::transfer(draft, caller, acting, id, &transfer),
        Command::Turn(id, power) => {
            acting.administrator("turning a host on or off")?;
            turn(draft, id, power)
        }
    }
}

/// Turns a host on or off. What is under way on one that goes off fails.
pub(super) fn turn(draft: &mut Draft, id: HostId, power: Power) -> Result<Answer, Refused> {
    let host =
        draft.world().hosts.get(&id).ok_or_else(|| Refused::missing("HostNotFound", format!("the host `{id}` is not known here")))?;
    let mut host = host.as_ref().clone();
    host.power = power;
    if power == Power::Off {
        jobs::lose_host(draft, &host);
    }
    let answer = Answer::ok(&host);
    draft.apply(Change::Host(Arc::new(host)));
    Ok(answer)
}

fn not_allowed(method: &Method) -> Refused {
    let problem = problem("MethodNotAllowed", format!("the path cannot be asked for with {method}"), "Use another method.");
    Refused { status: StatusCode::METHOD_NOT_ALLOWED, problem }
}

async fn document<T: DeserializeOwned>(body: Incoming) -> Result<T, Refused> {
    let refused = |message: String| Refused::bad("InvalidBody", message, "Mend the body and send it again.");
    let bytes = match timeout(BODY_TIME_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Err(_elapsed) => return Err(refused(format!("the body took longer than {} s", BODY_TIME_MAX.as_secs()))),
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => {
            let problem = problem("BodyTooLarge", format!("the body has more than {BODY_BYTES_MAX} bytes"), "Send less.");
            return Err(Refused { status: StatusCode::PAYLOAD_TOO_LARGE, problem });
        }
        Ok(Err(_broken_off)) => return Err(refused("the body ended early".to_owned())),
    };
    let value = crate::json::strict(&bytes).and_then(serde_json::from_value);
    value.map_err(|cause| refused(format!("the body is not readable: {cause}")))
}

pub(super) fn response(answer: Answer) -> Response<Full<Bytes>> {
    let Answer { status, body } = answer;
    let has_body = !body.is_empty();
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if has_body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
    }
    response
}
