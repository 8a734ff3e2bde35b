//! The admin calls below `/mock/fabric/`: host power, faults, and what arrived.
//!
//! Whoever mounts this decides who may call it; it must never be reachable through the gateway's public listener.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::ids::HostId;

use super::Fabric;
use super::faults::{Fault, FaultError};
use super::refused::{Answer, Refused};
use super::serve::{HostChange, response, turn};

const BODY_BYTES_MAX: usize = 64 * 1024;

impl From<FaultError> for Refused {
    fn from(error: FaultError) -> Self {
        Self::bad("InvalidFault", error.to_string(), "Mend the fault, or delete others.")
    }
}

impl Fabric {
    /// Answers an admin call; its path begins with `/mock/fabric/`.
    ///
    /// - `PATCH hosts/{id or name}` with `{"power": "on" | "off"}`
    /// - `POST faults` with `{"method"?, "path_prefix"?, "times"?: 1, "at": "before_store" | "before_answer"}` to hold requests, or with
    ///   `"status", "code"?, "message"?` in the place of `at` to refuse them; the answer has the `id`
    /// - `GET faults`: all of them, each with how many requests it has `taken` and how many are `held` now
    /// - `DELETE faults` and `DELETE faults/{id}`: lets go what is held
    /// - `GET journal`: the last requests, oldest first, with their on-behalf values
    pub async fn admin<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: hyper::body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        response(self.administer(request).await.unwrap_or_else(Answer::from))
    }

    async fn administer<B>(&self, request: Request<B>) -> Result<Answer, Refused>
    where
        B: hyper::body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let segments: Vec<&str> = path.strip_prefix("/mock/fabric/").unwrap_or_default().split('/').collect();
        match (&head.method, segments.as_slice()) {
            (&Method::GET, ["journal"]) => Ok(Answer::ok(&self.journal.told())),
            (&Method::GET, ["faults"]) => Ok(Answer::ok(&json!({ "faults": self.faults.told().await }))),
            (&Method::POST, ["faults"]) => {
                let id = self.faults.order(document::<Fault, _>(body).await?).await?;
                Ok(Answer::json(StatusCode::CREATED, &json!({ "id": id })))
            }
            (&Method::DELETE, ["faults"]) => {
                self.faults.release(None).await;
                Ok(Answer::ok(&json!({})))
            }
            (&Method::DELETE, ["faults", id]) => match id.parse().ok() {
                Some(id) if self.faults.release(Some(id)).await => Ok(Answer::ok(&json!({}))),
                Some(_) | None => Err(Refused::missing("FaultNotFound", format!("there is no fault `{id}`"))),
            },
            (&Method::PATCH, ["hosts", name]) => {
                let HostChange { power } = document(body).await?;
                let id = self.host(name)?;
                self.writer.order(move |draft| turn(draft, id, power)).await
            }
            (method, _path) => Err(Refused::missing("PathNotFound", format!("`{method} {path}` is no admin call of the fabric"))),
        }
    }

    fn host(&self, name: &str) -> Result<HostId, Refused> {
        let world = self.world.borrow();
        let found = world.hosts.values().find(|host| *host.name == *name || host.id.to_string() == name);
        found.map(|host| host.id).ok_or_else(|| Refused::missing("HostNotFound", format!("the host `{name}` is not known here")))
    }
}

async fn document<T, B>(body: B) -> Result<T, Refused>
where
    T: DeserializeOwned,
    B: hyper::body::Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let refused = |message: String| Refused::bad("InvalidBody", message, "Mend the body and send it again.");
    let bytes =
        Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|cause| refused(format!("the body is not readable: {cause}")))?;
    let value = crate::json::strict(&bytes.to_bytes()).and_then(serde_json::from_value);
    value.map_err(|cause| refused(format!("the body is not readable: {cause}")))
}
