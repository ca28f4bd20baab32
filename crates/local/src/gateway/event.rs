//! The event that API Gateway makes of a request to a REST API with proxy integration.
//!
//! Shape: API Gateway developer guide, "Input format of a Lambda function for proxy integration".

use std::net::IpAddr;

use axum::http::{HeaderMap, request::Parts};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batch_core::runtime::Timestamp;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::spec::Found;

/// The stage and the API that the events name.
const STAGE: &str = "local";
const API_ID: &str = "local";
const ACCOUNT_ID: &str = "000000000000";

/// A request on its way to a function.
pub(super) struct Call<'a> {
    pub(super) parts: &'a Parts,
    pub(super) found: &'a Found<'a>,
    pub(super) body: &'a [u8],
    pub(super) source_ip: IpAddr,
    pub(super) request_id: &'a str,
    /// As a header has it.
    pub(super) trace: &'a str,
    pub(super) now: Timestamp,
}

impl Call<'_> {
    /// The event. Every body is base64, because the binary media types are `*/*`.
    pub(super) fn event(&self) -> Value {
        let (path, resource) = (self.parts.uri.path(), &self.found.route.resource);
        let (headers, multi_value_headers) = self.headers();
        let (query, multi_value_query) = query(self.parts.uri.query().unwrap_or_default());
        let parameters = self.found.parameters.iter().map(|(name, value)| {
            (name.clone(), Value::from(percent_decode_str(value).decode_utf8_lossy().into_owned()))
        });
        let body = (!self.body.is_empty()).then(|| STANDARD.encode(self.body));
        json!({
            "resource": resource,
            "path": path,
            "httpMethod": self.parts.method.as_str(),
            "headers": headers,
            "multiValueHeaders": multi_value_headers,
            "queryStringParameters": or_null(query),
            "multiValueQueryStringParameters": or_null(multi_value_query),
            "pathParameters": or_null(parameters.collect()),
            "stageVariables": null,
            "requestContext": self.context(path, resource),
            "isBase64Encoded": body.is_some(),
            "body": body,
        })
    }

    fn context(&self, path: &str, resource: &str) -> Value {
        json!({
            "accountId": ACCOUNT_ID,
            "apiId": API_ID,
            "domainName": text(&self.parts.headers, "host"),
            "domainPrefix": API_ID,
            "extendedRequestId": self.request_id,
            "httpMethod": self.parts.method.as_str(),
            "identity": {
                "accessKey": null,
                "accountId": null,
                "caller": null,
                "cognitoAuthenticationProvider": null,
                "cognitoAuthenticationType": null,
                "cognitoIdentityId": null,
                "cognitoIdentityPoolId": null,
                "principalOrgId": null,
                "sourceIp": self.source_ip.to_string(),
                "user": null,
                "userAgent": text(&self.parts.headers, "user-agent"),
                "userArn": null,
            },
            // As outside, where no stage stands before it: the service is reached as through a custom domain.
            "path": path,
            "protocol": "HTTP/1.1",
            "requestId": self.request_id,
            "requestTime": request_time(self.now),
            "requestTimeEpoch": self.now.0,
            "resourceId": "local",
            "resourcePath": resource,
            "stage": STAGE,
        })
    }

    /// One value a name, the last one; and every value of every name.
    fn headers(&self) -> (Map<String, Value>, Map<String, Value>) {
        let forwarded = [
            ("x-amzn-trace-id".to_owned(), self.trace.to_owned()),
            ("x-forwarded-for".to_owned(), self.source_ip.to_string()),
            ("x-forwarded-port".to_owned(), "443".to_owned()),
            ("x-forwarded-proto".to_owned(), "https".to_owned()),
        ];
        let sent =
            self.parts.headers.iter().filter(|(name, _)| *name != "x-amzn-trace-id").map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            });
        split(sent.chain(forwarded))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn query(query: &str) -> (Map<String, Value>, Map<String, Value>) {
    let Ok(mut url) = Url::parse("http://localhost/") else {
        return (Map::new(), Map::new());
    };
    url.set_query(Some(query));
    split(url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())))
}

fn split(pairs: impl Iterator<Item = (String, String)>) -> (Map<String, Value>, Map<String, Value>) {
    let (mut last, mut all) = (Map::new(), Map::<String, Value>::new());
    for (name, value) in pairs {
        if let Value::Array(values) = all.entry(name.clone()).or_insert_with(|| json!([])) {
            values.push(value.clone().into());
        }
        last.insert(name, value.into());
    }
    (last, all)
}

fn or_null(map: Map<String, Value>) -> Value {
    if map.is_empty() { Value::Null } else { Value::Object(map) }
}

/// `11/Nov/2024:10:00:00 +0000`
fn request_time(now: Timestamp) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let rfc3339 = now.to_string();
    let part = |range| rfc3339.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
    format!("{}/{}/{}:{} +0000", part(8..10), month.unwrap_or(&""), part(0..4), part(11..19))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::super::spec::Spec;
    use super::*;

    fn event(request: Request<&[u8]>) -> Value {
        let spec = Spec::load().unwrap();
        let (parts, body) = request.into_parts();
        let found = spec.find(parts.method.as_str(), parts.uri.path()).unwrap();
        let now = Timestamp(1_731_319_200_000);
        Call { parts: &parts, found: &found, body, source_ip: [127, 0, 0, 1].into(), request_id: "r", trace: "t", now }
            .event()
    }

    #[test]
    fn repeated_headers_and_parameters_keep_every_value() {
        let request = Request::get("/batches?status=failed&limit=5&status=partial&reference=a%20b+c")
            .header("prefer", "wait=1")
            .header("prefer", "return=minimal")
            .body(&b""[..]);
        let event = event(request.unwrap());
        assert_eq!(event["queryStringParameters"], json!({"status": "partial", "limit": "5", "reference": "a b c"}));
        assert_eq!(event["multiValueQueryStringParameters"]["status"], json!(["failed", "partial"]));
        assert_eq!(event["headers"]["prefer"], "return=minimal");
        assert_eq!(event["multiValueHeaders"]["prefer"], json!(["wait=1", "return=minimal"]));
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&Value::Null, &json!(false)));
    }

    #[test]
    fn the_function_learns_resource_and_parameters() {
        let event = event(Request::get("/batches/batch%5F1/results").body(&b""[..]).unwrap());
        assert_eq!(event["resource"], "/batches/{batchId}/results");
        assert_eq!(event["path"], "/batches/batch%5F1/results");
        assert_eq!(event["pathParameters"], json!({"batchId": "batch_1"}));
        assert_eq!(event["requestContext"]["path"], "/batches/batch%5F1/results");
        assert_eq!(event["requestContext"]["requestTime"], "11/Nov/2024:10:00:00 +0000");
    }

    #[test]
    fn a_body_travels_as_base64() {
        let event = event(Request::post("/batch").body(&b"{}"[..]).unwrap());
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("e30="), &json!(true)));
    }
}
