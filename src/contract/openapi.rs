//! `GET /api/v1/openapi.json`: OpenAPI 3.1, made from the table of endpoints and the schemas of their types.
//!
//! Made here and not by a crate: aide and utoipa derive the document from the server's handlers, with the paths written
//! there, and the client and the command line would have theirs beside it. Here the table comes first, and OpenAPI 3.1
//! takes the schemas of `schemars` as they are.
use super::{
    endpoint::{Caller, Entry},
    endpoints::TABLE,
    problem::ProblemDoc,
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Statuses that every endpoint may answer with: refused, an error, the store.
const OF_ALL: [u16; 3] = [403, 500, 503];

/// The document.
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<ProblemDoc>().to_value();
    let mut paths = Map::new();
    for entry in TABLE {
        let methods = paths.entry(entry.path).or_insert_with(|| json!({}));
        methods[entry.method.word().to_lowercase()] = operation(entry, &problem, &mut generator);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "p0",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "An event-sourced orchestrator of coding agents. Served on the Unix socket `p0.sock` of the data \
                directory, where the caller is the user of the connecting process; the socket in `P0_SOCKET` serves what an \
                attempt may do, with the token in `P0_TOKEN`.",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "http://p0", "description": "The Unix socket; the host's name means nothing." }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "attempt": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token in P0_TOKEN, on the attempt's own socket.",
                },
            },
        },
    })
}

fn operation(entry: &Entry, problem: &Value, generator: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = entry
        .params
        .iter()
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let has_path = !parameters.is_empty();
    let query = (entry.query)(generator).map(|schema| in_query(&schema.to_value())).unwrap_or_default();
    let has_query = !query.is_empty();
    parameters.extend(query);
    let body = (entry.body)(generator);
    let mut statuses: BTreeSet<u16> = OF_ALL.into_iter().chain(entry.statuses.iter().copied()).collect();
    statuses.extend((has_query || body.is_some()).then_some(400));
    statuses.extend(has_path.then_some(404));
    let mut responses = Map::from_iter([("200".to_owned(), answer(entry, generator))]);
    for status in statuses {
        let content = json!({ "application/problem+json": { "schema": problem } });
        responses.insert(status.to_string(), json!({ "description": meaning(status), "content": content }));
    }
    let mut operation = json!({
        "operationId": entry.name,
        "summary": entry.about.trim(),
        "x-callers": entry.callers.iter().map(|caller| caller.word()).collect::<Vec<_>>(),
        "security": security(entry),
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = body {
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": body } } });
    }
    operation
}

/// The fields of a query's schema as parameters.
fn in_query(schema: &Value) -> Vec<Value> {
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name));
    let fields = schema["properties"].as_object().into_iter().flatten();
    fields
        .map(|(name, form)| {
            let mut form = form.clone();
            let about = form.as_object_mut().and_then(|form| form.remove("description"));
            let mut parameter = json!({ "name": name, "in": "query", "required": required(name), "schema": form });
            if let Some(about) = about {
                parameter["description"] = about;
            }
            parameter
        })
        .collect()
}

fn answer(entry: &Entry, generator: &mut SchemaGenerator) -> Value {
    let form = (entry.answer)(generator);
    let of = |media: &&str| ((*media).to_owned(), form.as_ref().map_or(json!({}), |form| json!({ "schema": form })));
    json!({ "description": "Done.", "content": entry.media.iter().map(of).collect::<Map<_, _>>() })
}

/// `{}` = the socket itself says who asks.
fn security(entry: &Entry) -> Value {
    let by_socket = entry.is_on_main_socket().then(|| json!({}));
    let by_token = entry.callers.contains(&Caller::Attempt).then(|| json!({ "attempt": [] }));
    by_socket.into_iter().chain(by_token).collect()
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request makes no sense.",
        403 => "Rights or rules forbid it.",
        404 => "There is no such thing.",
        422 => "The configuration, spec, workflow or repository is not right.",
        503 => "The store is locked, damaged or full.",
        _ => "An error.",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::endpoint::Method, *};

    /// Every value under the key `$ref`, wherever it stands.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match (name.as_str(), value) {
                        ("$ref", Value::String(to)) => drop(found.insert(to.clone())),
                        (_, value) => references(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_reference_leads_to_something_and_every_schema_is_used() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 30, "{found:?}");
        for to in &found {
            let path = to.strip_prefix('#').unwrap_or_else(|| panic!("{to} leads out of the document"));
            assert!(document.pointer(path).is_some(), "{to} leads to nothing");
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is used nowhere");
            let numbered = name.ends_with(|c: char| c.is_ascii_digit());
            assert!(!numbered, "two types have the name {name}: give one of them another");
        }
    }

    #[test]
    fn every_endpoint_is_an_operation_with_its_parameters() {
        let document = document();
        let mut operations = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            let in_path: Vec<&str> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            for (method, operation) in methods.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(operations.insert(id.to_owned()), "two operations are {id}");
                let parameters = operation["parameters"].as_array().unwrap();
                let of = |place: &str| {
                    let here = parameters.iter().filter(|parameter| parameter["in"] == place);
                    here.map(|parameter| parameter["name"].as_str().unwrap()).collect::<Vec<_>>()
                };
                assert_eq!(of("path"), in_path, "{method} {path}");
                assert_eq!(of("query").len() + of("path").len(), parameters.len(), "{method} {path}");
                assert!(!operation["security"].as_array().unwrap().is_empty(), "nobody may call {method} {path}");
                let answers = operation["responses"].as_object().unwrap();
                assert!(answers["200"]["content"].as_object().is_some_and(|media| !media.is_empty()), "{id}");
                for (status, answer) in answers.iter().filter(|(status, _)| *status != "200") {
                    let status: u16 = status.parse().unwrap();
                    assert!(status == 500 || meaning(status) != meaning(500), "{id}: say what {status} means");
                    let form = &answer["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(form, "#/components/schemas/ProblemDoc", "{id} {status}");
                }
            }
        }
        let table: BTreeSet<String> = TABLE.iter().map(|entry| entry.name.to_owned()).collect();
        assert_eq!((operations, table.len()), (table.clone(), TABLE.len()));
    }

    #[test]
    fn what_only_reads_has_no_body_and_every_about_is_a_sentence() {
        let mut generator = SchemaSettings::draft2020_12().into_generator();
        for entry in TABLE {
            assert_eq!((entry.body)(&mut generator).is_some(), entry.method == Method::Post, "{}", entry.name);
            let about = entry.about.trim();
            assert!(about.ends_with('.') && about.starts_with(|c: char| c.is_ascii_uppercase()), "{about}");
            if let Some(query) = (entry.query)(&mut generator) {
                assert!(!in_query(&query.to_value()).is_empty(), "the query of {} has no fields", entry.name);
            }
        }
    }
}
