//! A handler that panics: its client is told, and the connection goes on.

use std::future::Future;
use std::pin::Pin;

use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::arm::error::ErrorBody;
use crate::ids::RequestId;
use crate::panics;
use crate::telemetry::Repeats;

/// A request that ends in a panic.
struct Fall {
    id: RequestId,
    place: Box<str>,
}

/// Whoever found the request can send it again.
static FALLS: Repeats<Fall> = Repeats::new(|Fall { id, place }, times| tracing::error!(%id, %place, times, "a handler panicked"));

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");

/// The answer of a handler, be it that it panics.
///
/// Going on after it is sound: the handler's future is polled no more and is dropped here. What it shares with others is snapshots, which nobody
/// changes, channels and atomics, maps that are changed entry by entry, and locks that are held for steps that do not panic and that nobody
/// takes for broken. A lock of the runtime is free again when its guard is dropped.
pub(super) async fn answer<F, B>(handled: Pin<Box<F>>) -> Response<B>
where
    F: Future<Output = Response<B>>,
    B: From<Bytes>,
{
    match panics::contained(handled).await {
        Ok(response) => response,
        Err(panicked) => {
            let id = RequestId::random();
            FALLS.note(Fall { id, place: panicked.place });
            fallen(id)
        }
    }
}

fn fallen<B: From<Bytes>>(id: RequestId) -> Response<B> {
    let body = ErrorBody::new(
        "InternalServerError",
        "The server failed while it handled the request. Its log says where, under the request's id.",
    );
    let mut response = Response::new(B::from(Bytes::from(crate::json::text(&body))));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http_body_util::{BodyExt, Full};
    use hyper::Request;
    use hyper::body::Incoming;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{Notify, watch};
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use crate::https::{self, Drained, Limits, Stop};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// `/panic` panics after a wait, `/wait` answers when it is told to, anything else at once.
    async fn handle(request: Request<Incoming>, release: Arc<Notify>) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/panic" => {
                tokio::task::yield_now().await;
                panic!("of the test");
            }
            "/wait" => release.notified().await,
            _ => {}
        }
        Response::new(Full::from("answered"))
    }

    async fn serve(release: &Arc<Notify>) -> (TcpStream, JoinHandle<Drained>, watch::Sender<bool>) {
        panics::note(panics::Text::Shown);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopping): (_, Stop) = watch::channel(false);
        let release = Arc::clone(release);
        let handler = move |request, _connection| handle(request, Arc::clone(&release));
        let serving = tokio::spawn(https::serve(listener, None, Limits::default(), stopping, handler));
        (TcpStream::connect(address).await.unwrap(), serving, stop)
    }

    fn request(path: &str) -> Request<Full<Bytes>> {
        Request::get(format!("http://localhost{path}")).header("host", "localhost").body(Full::default()).unwrap()
    }

    async fn told(answer: impl Future<Output = Result<Response<Incoming>, hyper::Error>>) -> (u16, Response<()>, String) {
        let response = timeout(PATIENCE, answer).await.expect("it is answered in time").expect("it is answered");
        let (head, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
        (head.status.as_u16(), Response::from_parts(head, ()), text)
    }

    async fn end(connection: JoinHandle<Result<(), hyper::Error>>, serving: JoinHandle<Drained>, stop: watch::Sender<bool>) {
        stop.send_replace(true);
        assert_eq!(timeout(PATIENCE, serving).await.unwrap().unwrap(), Drained::Clean);
        drop(connection.await.unwrap());
    }

    #[tokio::test]
    async fn a_panic_is_answered_and_the_next_request_on_the_connection_too() {
        let (stream, serving, stop) = serve(&Arc::default()).await;
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(driver);
        let mut ids = Vec::new();
        for _ in 0..3 {
            let (status, response, text) = told(sender.send_request(request("/panic"))).await;
            let body: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!((status, &body["error"]["code"]), (500, &"InternalServerError".into()));
            assert!(!text.contains("of the test"), "{text}");
            ids.push(response.headers()["x-ms-request-id"].to_str().unwrap().parse::<RequestId>().unwrap());
            sender.ready().await.unwrap();
            assert_eq!(told(sender.send_request(request("/"))).await.2, "answered");
            sender.ready().await.unwrap();
        }
        ids.dedup();
        assert_eq!(ids.len(), 3);
        end(connection, serving, stop).await;
    }

    #[tokio::test]
    async fn a_panic_leaves_the_other_streams_of_its_connection_alone() {
        let release = Arc::new(Notify::new());
        let (stream, serving, stop) = serve(&release).await;
        let (sender, driver) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(driver);
        let mut waiting = sender.clone();
        let waiting = tokio::spawn(async move { told(waiting.send_request(request("/wait"))).await });
        for _ in 0..20 {
            assert_eq!(told(sender.clone().send_request(request("/panic"))).await.0, 500);
            assert_eq!(told(sender.clone().send_request(request("/"))).await.2, "answered");
        }
        assert!(!waiting.is_finished());
        release.notify_one();
        assert_eq!(waiting.await.unwrap().2, "answered");
        drop(sender);
        end(connection, serving, stop).await;
    }
}
