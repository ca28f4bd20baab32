//! What `openapi.yaml` says about the gateway: its routes and its own errors.

use std::collections::BTreeMap;

use matchit::Router;
use serde_json::Value;

use crate::{Error, yaml};

/// The definition that the deployed gateway is made from.
const OPENAPI: &str = include_str!("../../../../openapi.yaml");

/// A function behind the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// Takes what may change something.
    Submit,
    /// Takes what only reads.
    Status,
}

/// A declared method of a declared path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// The path as declared, such as `/batches/{batchId}`.
    pub(super) resource: String,
    pub(super) function: Function,
}

/// An error that is the gateway's own.
#[derive(Debug, Clone, Default)]
pub(super) struct GatewayResponse {
    status: Option<u16>,
    body: String,
    /// Fixed headers.
    headers: Vec<(String, String)>,
}

pub(super) struct Spec {
    routes: Router<BTreeMap<String, Route>>,
    responses: BTreeMap<String, GatewayResponse>,
    /// Bytes from which on an answer is compressed.
    pub(super) compress_from: Option<usize>,
}

/// A route and the texts that its path parameters stand for, still percent-encoded.
pub(super) struct Found<'a> {
    pub(super) route: &'a Route,
    pub(super) parameters: Vec<(String, String)>,
}

impl Spec {
    pub(super) fn load() -> Result<Self, Error> {
        let document = yaml::parse("openapi.yaml", OPENAPI)?;
        let mut routes = Router::new();
        for (path, methods) in entries(&document["paths"]) {
            let mut by_method = BTreeMap::new();
            for (method, operation) in entries(methods) {
                let uri = &operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"];
                if uri.is_null() {
                    continue;
                }
                let wrong = || Error::new(format!("openapi.yaml: {method} {path} names no function of the service"));
                let function = uri.as_str().and_then(function).ok_or_else(wrong)?;
                by_method.insert(method.to_ascii_uppercase(), Route { resource: path.clone(), function });
            }
            routes.insert(path, by_method).map_err(|error| Error::caused(format!("openapi.yaml: {path}"), &error))?;
        }
        let responses = entries(&document["x-amazon-apigateway-gateway-responses"])
            .map(|(name, response)| (name.clone(), gateway_response(response)));
        let compress_from = document["x-amazon-apigateway-minimum-compression-size"].as_u64();
        Ok(Self {
            routes,
            responses: responses.collect(),
            compress_from: compress_from.and_then(|size| usize::try_from(size).ok()),
        })
    }

    pub(super) fn find(&self, method: &str, path: &str) -> Option<Found<'_>> {
        let found = self.routes.at(path).ok()?;
        let parameters = found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(Found { route: found.value.get(method)?, parameters })
    }

    /// The gateway's error of that type: status, body and fixed headers. Where the definition gives no status, it is
    /// `status`, the type's own.
    pub(super) fn error(&self, error_type: &str, status: u16, request_id: &str) -> (u16, String, &[(String, String)]) {
        let fallback = if status < 500 { "DEFAULT_4XX" } else { "DEFAULT_5XX" };
        match self.responses.get(error_type).or_else(|| self.responses.get(fallback)) {
            None => (status, String::new(), &[]),
            Some(response) => {
                let body = response.body.replace("$context.error.responseType", error_type);
                let body = body.replace("$context.requestId", request_id);
                (response.status.unwrap_or(status), body, &response.headers)
            }
        }
    }
}

fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

/// `arn:..:functions/${SubmitFunction.Arn}/invocations`
fn function(uri: &str) -> Option<Function> {
    match uri.split_once("functions/${")?.1.split_once(".Arn}")?.0 {
        "SubmitFunction" => Some(Function::Submit),
        "StatusFunction" => Some(Function::Status),
        _ => None,
    }
}

fn gateway_response(response: &Value) -> GatewayResponse {
    let status = &response["statusCode"];
    let status = status.as_u64().or_else(|| status.as_str()?.parse().ok());
    let headers = entries(&response["responseParameters"]).filter_map(|(name, value)| {
        let name = name.strip_prefix("gatewayresponse.header.")?;
        Some((name.to_ascii_lowercase(), value.as_str()?.trim_matches('\'').to_owned()))
    });
    GatewayResponse {
        status: status.and_then(|status| u16::try_from(status).ok()),
        body: response["responseTemplates"]["application/json"].as_str().unwrap_or_default().to_owned(),
        headers: headers.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_and_functions_are_those_of_the_definition() {
        let spec = Spec::load().unwrap();
        let found = spec.find("GET", "/batches/batch_1/results").unwrap();
        assert_eq!(
            (found.route.resource.as_str(), found.route.function),
            ("/batches/{batchId}/results", Function::Status)
        );
        assert_eq!(found.parameters, [("batchId".to_owned(), "batch_1".to_owned())]);
        assert_eq!(spec.find("POST", "/batch").unwrap().route.function, Function::Submit);
        for (method, path) in [("GET", "/batch"), ("POST", "/nothing"), ("GET", "/"), ("GET", "/batches/a/b/c")] {
            assert!(spec.find(method, path).is_none(), "{method} {path}");
        }
    }

    #[test]
    fn errors_have_the_shape_of_the_definition() {
        let spec = Spec::load().unwrap();
        for (error_type, own, status, code) in [
            ("MISSING_AUTHENTICATION_TOKEN", 403, 404, "ROUTE_NOT_FOUND"),
            ("REQUEST_TOO_LARGE", 413, 413, "PAYLOAD_TOO_LARGE"),
            ("UNSUPPORTED_MEDIA_TYPE", 415, 415, "INVALID_PARAMETER"),
            ("INTEGRATION_TIMEOUT", 504, 504, "OUTCOME_UNKNOWN"),
        ] {
            let (told, body, _) = spec.error(error_type, own, "r-1");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!((told, &body["error"], &body["requestId"]), (status, &code.into(), &"r-1".into()));
            assert_eq!(body["details"]["gatewayResponse"], error_type);
        }
        assert_eq!(spec.error("THROTTLED", 429, "r").2, [("retry-after".to_owned(), "1".to_owned())]);
    }
}
