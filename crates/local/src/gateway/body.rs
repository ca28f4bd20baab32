//! Bodies on their way through: what may be how large, and what is compressed.

use std::io::{Read, Write};

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderName};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;

/// A request's body at the gateway, compressed or not: its payload quota.
pub(super) const MAX_GATEWAY_BYTES: usize = 10 * 1024 * 1024;
/// An event or an answer of a function called synchronously: the quota of Lambda.
pub(super) const MAX_LAMBDA_BYTES: usize = 6 * 1024 * 1024;
/// What is read of a body that is too large, so that its sender gets to see the answer.
const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;

/// Why a body does not reach the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadBody {
    /// Beyond the gateway's quota.
    TooLarge,
    /// Compressed in a way the gateway does not know, or not as its header says.
    UnknownCoding,
    /// The client went away while sending.
    Broken,
}

/// Reads the body as the function will get it.
pub(super) async fn read(headers: &mut HeaderMap, body: Body) -> Result<Bytes, BadBody> {
    let raw = collect(body).await?;
    let coding = headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    match coding.as_deref() {
        None | Some("" | "identity") => Ok(raw),
        Some("gzip") => {
            headers.remove(CONTENT_ENCODING);
            expand(&raw)
        }
        Some(_) => Err(BadBody::UnknownCoding),
    }
}

async fn collect(mut body: Body) -> Result<Bytes, BadBody> {
    let (mut kept, mut discarded) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BadBody::Broken)?;
        let Some(data) = frame.data_ref() else { continue };
        if discarded > 0 || kept.len() + data.len() > MAX_GATEWAY_BYTES {
            kept.clear();
            discarded += data.len();
            if discarded > MAX_DISCARDED_BYTES {
                break;
            }
        } else {
            kept.extend_from_slice(data);
        }
    }
    if discarded > 0 { Err(BadBody::TooLarge) } else { Ok(kept.into()) }
}

fn expand(gzip: &[u8]) -> Result<Bytes, BadBody> {
    let mut expanded = Vec::new();
    // One byte beyond the quota tells what is too large from what just fits, whatever it would expand to.
    let limit = MAX_GATEWAY_BYTES as u64 + 1;
    MultiGzDecoder::new(gzip).take(limit).read_to_end(&mut expanded).map_err(|_| BadBody::UnknownCoding)?;
    if expanded.len() > MAX_GATEWAY_BYTES { Err(BadBody::TooLarge) } else { Ok(expanded.into()) }
}

/// The answer compressed, where it is large enough and the client takes it.
pub(super) fn compress(request: &HeaderMap, from: Option<usize>, body: &[u8]) -> Option<(HeaderName, Vec<u8>)> {
    let taken = request.get(ACCEPT_ENCODING)?.to_str().ok()?;
    let taken = taken.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && parts.next() != Some("q=0")
    });
    if !taken || body.len() < from? {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    Some((CONTENT_ENCODING, encoder.finish().ok()?))
}
