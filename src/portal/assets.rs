//! The style sheet, the script and the icon. Their names hold a digest of their content, so that browsers may keep them for ever.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{self, HeaderValue};

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Bytes of the digest in a name: enough that no two versions share one.
const DIGEST_BYTES: usize = 9;

pub(super) struct Asset {
    pub(super) path: String,
    kind: &'static str,
    content: &'static str,
}

/// All that is served.
pub(super) struct Assets {
    pub(super) style: Asset,
    pub(super) script: Asset,
    pub(super) icon: Asset,
}

pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: Asset::new("steward", "css", "text/css; charset=utf-8", include_str!("assets/steward.css")),
    script: Asset::new("steward", "js", "text/javascript; charset=utf-8", include_str!("assets/steward.js")),
    icon: Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")),
});

pub(super) fn find(path: &str) -> Option<&'static Asset> {
    [&ASSETS.style, &ASSETS.script, &ASSETS.icon].into_iter().find(|asset| asset.path == path)
}

impl Asset {
    fn new(name: &str, ending: &str, kind: &'static str, content: &'static str) -> Self {
        let digest = digest(&SHA256, content.as_bytes());
        let version = URL_SAFE_NO_PAD.encode(digest.as_ref().get(..DIGEST_BYTES).unwrap_or_default());
        Self { path: format!("/assets/{name}-{version}.{ending}"), kind, content }
    }

    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
        let mut answer = Response::new(Full::from(Bytes::from_static(self.content.as_bytes())));
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        answer.headers_mut().insert(header::CACHE_CONTROL, IMMUTABLE);
        answer
    }
}
