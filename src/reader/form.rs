//! The schemas of arguments, made from the types of the model.
//!
//! Clients differ in what they understand: some hide a tool whose schema refers to definitions, some one with a choice
//! at its top, some stumble over `null` among the types. So a form is one object with everything written out in place.
use p0_model::protocol::Message;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// A JSON Schema of an object.
pub type Form = Map<String, Value>;

/// The form of a type.
pub fn of<T: JsonSchema>() -> Form {
    match plain::<T>() {
        Value::Object(mut form) => {
            form.remove("description");
            closed(form)
        }
        _ => closed(Form::new()),
    }
}

/// The form of the message with this `type` word, without the word.
pub fn of_message(word: &str) -> Form {
    message(word).cloned().unwrap_or_default()
}

/// The same, as it is kept; `None` = there is no such message.
pub(super) fn message(word: &str) -> Option<&'static Form> {
    messages().iter().find(|(known, _)| known == word).map(|(_, form)| form)
}

/// Every `type` word with the form of its message, without the word.
fn messages() -> &'static [(String, Form)] {
    static MESSAGES: OnceLock<Vec<(String, Form)>> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let all = plain::<Message>();
        let variants = all.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        variants.filter_map(Value::as_object).filter_map(one_message).collect()
    })
}

fn one_message(variant: &Form) -> Option<(String, Form)> {
    let mut form = variant.clone();
    form.remove("description");
    let Some(Value::Object(properties)) = form.get_mut("properties") else { return None };
    let word = properties.get("type")?.get("const")?.as_str()?.to_owned();
    // `remove` may put the last one in its place: the fields stay in the order in which the type declares them.
    properties.retain(|name, _| name != "type");
    if let Some(Value::Array(required)) = form.get_mut("required") {
        required.retain(|name| name != "type");
    }
    Some((word, closed(form)))
}

/// An object that takes nothing but its properties: a mistyped name must not be left out in silence.
fn closed(mut form: Form) -> Form {
    form.insert("type".into(), "object".into());
    form.entry("properties").or_insert_with(|| Map::new().into());
    if form.get("required").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        form.remove("required");
    }
    form.insert("additionalProperties".into(), false.into());
    form
}

fn plain<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    schema
}

/// Takes out what clients stumble over.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(parts) => parts.iter_mut().for_each(tidy),
        Value::Object(form) => {
            for (name, part) in form.iter_mut() {
                if name != "const" && name != "enum" {
                    tidy(part);
                }
            }
            // A property may be called so as well: then it is a schema, and not a text.
            for name in ["title", "format"] {
                if form.get(name).is_some_and(Value::is_string) {
                    form.remove(name);
                }
            }
            // That what is left out is empty needs no saying, and every word here is read by every agent.
            let empty = [Value::Null, false.into(), "".into(), Value::Array(Vec::new())];
            if form.get("default").is_some_and(|default| empty.contains(default)) {
                form.remove("default");
            }
            if let Some(Value::String(text)) = form.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            without_null(form);
            as_enum(form);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What may be left out may be left out; nobody has to be able to write `null` for it.
fn without_null(form: &mut Form) {
    if let Some(Value::Array(types)) = form.get_mut("type") {
        types.retain(|t| t != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            form.insert("type".into(), one);
        }
    }
    let Some(Value::Array(choices)) = form.get_mut("anyOf") else { return };
    choices.retain(|c| c.get("type").and_then(Value::as_str) != Some("null"));
    if let [Value::Object(one)] = choices.as_slice() {
        let one = one.clone();
        form.remove("anyOf");
        for (name, part) in one {
            form.entry(name).or_insert(part);
        }
    }
}

/// A choice among words is an `enum`, with what the words mean in its description.
fn as_enum(form: &mut Form) {
    let Some(Value::Array(choices)) = form.get("oneOf") else { return };
    let words: Option<Vec<(Value, Option<&str>)>> = choices
        .iter()
        .map(|c| Some((c.get("const").filter(|w| w.is_string())?.clone(), c.get("description")?.as_str())))
        .collect();
    let Some(words) = words.filter(|w| !w.is_empty()) else { return };
    let mean = |(word, meaning): &(Value, Option<&str>)| {
        let meaning = meaning.unwrap_or_default().trim_end_matches('.');
        format!("{}: {meaning}", word.as_str().unwrap_or_default())
    };
    let meanings = words.iter().map(mean).collect::<Vec<_>>().join("; ");
    let about = form.get("description").and_then(Value::as_str).unwrap_or_default();
    let about = format!("{} ({meanings})", about.trim_end_matches('.'));
    let words: Vec<Value> = words.into_iter().map(|(word, _)| word).collect();
    form.remove("oneOf");
    form.insert("type".into(), "string".into());
    form.insert("enum".into(), words.into());
    form.insert("description".into(), about.trim().into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use p0_model::protocol::Proposal;

    #[test]
    fn the_words_are_those_of_the_schema() {
        assert!(messages().iter().map(|(word, _)| word.as_str()).eq(Message::WORDS.iter().copied()));
    }

    #[test]
    fn a_message_is_one_plain_object() {
        let form = Value::Object(of_message("ticket"));
        assert_eq!(form["properties"]["priority"]["enum"], serde_json::json!(["high", "medium", "low"]));
        assert_eq!(form["properties"]["files"]["properties"]["create"]["type"], "array");
        assert!(form["properties"]["title"].is_object(), "a property may be called title: {form}");
        assert!(form["properties"].get("type").is_none() && form.get("oneOf").is_none());
        assert_eq!(form["properties"], Value::Object(of::<Proposal>())["properties"]);
        let verdict = Value::Object(of_message("verdict"));
        assert_eq!(verdict["required"], serde_json::json!(["met"]));
    }
}
