//! The JSON Schemas and the OpenAPI document in `schemas/`, which `p0 __schemas DIR` writes.
use super::{endpoints::TABLE, openapi, problem::ProblemDoc};
use crate::model;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// File names and contents, in the order of the names: what is stored, what agents say, and the API's documents.
pub fn all() -> Vec<(&'static str, String)> {
    let mut files = model::schema::all();
    files.push(("api.json", text(&documents())));
    files.push(("openapi.json", text(&openapi::document())));
    files.sort_by_key(|(name, _)| *name);
    files
}

/// Every document that a request or an answer of the API has, by the name of its type, in `$defs`.
fn documents() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    for entry in TABLE {
        (entry.body)(&mut generator);
        (entry.answer)(&mut generator);
    }
    generator.subschema_for::<ProblemDoc>();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "p0 API",
        "description": "The documents of requests and answers of the HTTP API, by name; openapi.json says where each is used.",
        "$defs": generator.take_definitions(true),
    })
}

fn text(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The house test compares the model's own; these need the endpoints' types.
    #[test]
    fn the_files_of_the_api_are_what_the_types_say() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        for (name, text) in all() {
            let mend = "write it with `cargo run -- __schemas schemas` and look at the difference";
            let written = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert!(written == text, "schemas/{name} is not what the types say; {mend}");
        }
    }
}
