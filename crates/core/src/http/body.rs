//! Request bodies: content type, compression, size, JSON.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::{Reply, Request};
use crate::json;
use crate::limits::{MAX_BODY_BYTES, MAX_EXPANDED_BYTES};
use crate::operation::{Code, Problem};

/// The JSON in the body of `request`.
pub(super) fn read(request: &Request) -> Result<Value, Reply> {
    let content_type = request.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_gzip_type = match media_type.as_str() {
        "application/json" => false,
        "application/gzip" => true,
        "" => {
            let message = "Content-Type is missing: send application/json, or application/gzip with JSON inside";
            return Err(Reply::error(Code::UnsupportedMediaType, message));
        }
        _ => {
            let message = "Content-Type must be application/json, or application/gzip with JSON inside";
            return Err(Reply::error(Code::UnsupportedMediaType, message));
        }
    };
    if request.body.len() > MAX_BODY_BYTES {
        return Err(too_large(MAX_BODY_BYTES, "as sent"));
    }
    let encoding = request.header("content-encoding").unwrap_or("identity").trim().to_ascii_lowercase();
    let expanded = match (is_gzip_type, encoding.as_str()) {
        (true, _) => Some(expand(&request.body, MAX_EXPANDED_BYTES)?),
        (false, "gzip") => Some(expand(&request.body, MAX_BODY_BYTES)?),
        (false, "identity" | "") => None,
        (false, _) => {
            let message = "Content-Encoding must be gzip, or left out";
            return Err(Reply::error(Code::UnsupportedMediaType, message));
        }
    };
    let text = expanded.as_deref().unwrap_or(&request.body);
    json::parse(text).map_err(|error| {
        let problem = Problem::new(error.pointer(), Code::InvalidJson, error.to_string());
        let message = problem.message.clone();
        let place = !error.pointer().is_empty();
        Reply::error(Code::InvalidJson, message).problems(if place { vec![problem] } else { Vec::new() })
    })
}

/// Expands gzip, never beyond `most` bytes: a small body can hold gigabytes.
fn expand(body: &[u8], most: usize) -> Result<Vec<u8>, Reply> {
    let mut text = Vec::new();
    let read = MultiGzDecoder::new(body).take(most as u64 + 1).read_to_end(&mut text);
    if text.len() > most {
        return Err(too_large(most, "once expanded"));
    }
    match read {
        Ok(_) => Ok(text),
        Err(_) => Err(Reply::error(Code::InvalidJson, "the body is not valid gzip")),
    }
}

fn too_large(most: usize, when: &str) -> Reply {
    Reply::error(Code::PayloadTooLarge, format!("the body is larger than {most} bytes {when}"))
        .details(serde_json::json!({ "maxBytes": most }))
}
