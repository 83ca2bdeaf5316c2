//! JSON Schemas of everything that is stored or that others rely on. `p0 __schemas DIR` writes them to `schemas/`.
use super::{adapter::Adapter, command::Command, event::Event, protocol, record::Record};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

/// File names and contents, in the order of the names.
pub fn all() -> Vec<(&'static str, String)> {
    vec![
        ("adapter.json", schema_of::<Adapter>()),
        ("agent-input.json", schema_of::<protocol::AgentInput>()),
        ("agent-message.json", schema_of::<protocol::Message>()),
        ("command.json", schema_of::<Command>()),
        ("event.json", schema_of::<Event>()),
        ("record.json", schema_of::<Record>()),
    ]
}

fn schema_of<T: JsonSchema>() -> String {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let value: Value = schema.to_value();
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}
