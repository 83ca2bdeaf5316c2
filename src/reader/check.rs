//! What is wrong with the arguments of a call, in sentences that name the field and the mend.
//!
//! Agents write `null` for what they leave out, a list as the text of its JSON, one text for a list of one: what can
//! be meant in one way only is taken so, and everything else is told.
use super::form::Form;
use serde_json::{Map, Value};

/// Sentences told at once.
const MOST: usize = 5;

/// The arguments as the form wants them.
///
/// # Errors
/// What is wrong, a sentence per field.
pub fn check(form: &Form, arguments: Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut wrong = Vec::new();
    let mut value = Value::Object(arguments);
    look(&Value::Object(form.clone()), &mut value, "", &mut wrong);
    match value {
        Value::Object(arguments) if wrong.is_empty() => Ok(arguments),
        _ => {
            wrong.truncate(MOST);
            Err(wrong.join("\n"))
        }
    }
}

fn look(schema: &Value, value: &mut Value, at: &str, wrong: &mut Vec<String>) {
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        return any_of(choices, value, at, wrong);
    }
    let Some(kind) = schema.get("type").and_then(Value::as_str) else { return };
    mend(kind, schema, value);
    let fits = match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    };
    if !fits {
        wrong.push(format!("`{}` must be {}, not {}", name(at), called(schema), short(value)));
        return;
    }
    match value {
        Value::Object(fields) => object(schema, fields, at, wrong),
        Value::Array(items) => {
            let Some(of) = schema.get("items") else { return };
            for (n, item) in items.iter_mut().enumerate() {
                look(of, item, &format!("{at}[{n}]"), wrong);
            }
        }
        Value::String(text) => {
            if schema.get("minLength").is_some() && text.trim().is_empty() {
                wrong.push(format!("`{}` must not be empty", name(at)));
                return;
            }
            let words = schema.get("enum").and_then(Value::as_array);
            if words.is_some_and(|words| !words.contains(value)) {
                wrong.push(format!("`{}` must be {}, not {}", name(at), called(schema), short(value)));
            }
        }
        Value::Number(number) => {
            let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
            let number = number.as_f64().unwrap_or_default();
            let (low, high) = (bound("minimum"), bound("maximum"));
            if low.is_some_and(|low| number < low) || high.is_some_and(|high| number > high) {
                wrong.push(format!("`{}` must be {}, not {number}", name(at), called(schema)));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn object(schema: &Value, fields: &mut Map<String, Value>, at: &str, wrong: &mut Vec<String>) {
    let none = Map::new();
    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let path = |field: &str| if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") };
    fields.retain(|field, value| !value.is_null() || !known.contains_key(field));
    for field in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(field) {
            let of = known.get(field);
            let about = of.and_then(|of| of.get("description")).and_then(Value::as_str).unwrap_or_default();
            let what = of.map(called).unwrap_or_default();
            wrong.push(format!("`{}` is missing; give {what} ({})", path(field), about.trim_end_matches('.')));
        }
    }
    for (field, value) in fields.iter_mut() {
        match known.get(field) {
            Some(of) => look(of, value, &path(field), wrong),
            // A form that names no field takes any, unless it says that it takes none.
            None if known.is_empty() && schema.get("additionalProperties") != Some(&Value::Bool(false)) => {}
            None => {
                let names = known.keys().map(|k| format!("`{k}`")).collect::<Vec<_>>();
                let there =
                    if names.is_empty() { "there are none".into() } else { format!("there are: {}", names.join(", ")) };
                wrong.push(format!("there is no field `{}`; {there}", path(field)));
            }
        }
    }
}

fn any_of(choices: &[Value], value: &mut Value, at: &str, wrong: &mut Vec<String>) {
    for choice in choices {
        let (mut tried, mut why) = (value.clone(), Vec::new());
        look(choice, &mut tried, at, &mut why);
        if why.is_empty() {
            *value = tried;
            return;
        }
    }
    let all = choices.iter().map(called).collect::<Vec<_>>().join(" or ");
    wrong.push(format!("`{}` must be {all}, not {}", name(at), short(value)));
}

/// Takes a value for what alone it can mean.
fn mend(kind: &str, schema: &Value, value: &mut Value) {
    let Value::String(text) = &*value else { return };
    let read = || serde_json::from_str::<Value>(text).ok();
    let meant = match kind {
        "object" => read().filter(Value::is_object),
        "array" => read().filter(Value::is_array).or_else(|| {
            let of_texts = schema.pointer("/items/type").and_then(Value::as_str) == Some("string");
            of_texts.then(|| Value::Array(vec![value.clone()]))
        }),
        "boolean" => read().filter(Value::is_boolean),
        "integer" | "number" => read().filter(Value::is_number),
        _ => None,
    };
    if let Some(meant) = meant {
        *value = meant;
    }
}

/// What a schema asks for, in words.
fn called(schema: &Value) -> String {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        return format!("one of {}", words.join(", "));
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {
            let fields = schema.get("properties").and_then(Value::as_object);
            let names: Vec<&str> = fields.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            format!("an object with {}", names.join(", "))
        }
        Some("array") => match schema.pointer("/items/type").and_then(Value::as_str) {
            Some("object") => "a list of objects".into(),
            Some("string") => "a list of texts".into(),
            _ => "a list".into(),
        },
        Some("string") => "a text".into(),
        Some("boolean") => "true or false".into(),
        Some("integer" | "number") => match (bound("minimum"), bound("maximum")) {
            (Some(low), Some(high)) => format!("a number from {low} to {high}"),
            (Some(low), None) => format!("a number from {low}"),
            (None, _) => "a number".into(),
        },
        _ => "something else".into(),
    }
}

fn name(at: &str) -> &str {
    if at.is_empty() { "arguments" } else { at }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::form, *};
    use serde_json::json;

    #[track_caller]
    fn checked(word: &str, arguments: Value) -> Result<Value, String> {
        let Value::Object(arguments) = arguments else { panic!("an object") };
        check(&form::of_message(word), arguments).map(Value::Object)
    }

    #[test]
    fn what_can_be_meant_in_one_way_only_is_taken_so() {
        let meant = json!({"title": "t", "files": {"create": ["a"]}, "depends_on": ["x"]});
        let said = json!({"title": "t", "files": "{\"create\": \"a\"}", "depends_on": "[\"x\"]", "kind": null});
        assert_eq!(checked("ticket", said).unwrap(), meant);
        assert_eq!(checked("verdict", json!({"met": "true"})).unwrap(), json!({"met": true}));
        assert_eq!(checked("confidence", json!({"value": "80"})).unwrap(), json!({"value": 80}));
        let contract = json!({"contract": {"acceptance_criteria": ["a", {"text": "b", "command": ["true"]}]}});
        assert_eq!(checked("ticket", contract.clone()).unwrap(), contract);
    }

    #[test]
    fn every_sentence_names_the_field_and_the_mend() {
        let wrong = [
            checked("ticket", json!({"titel": "t"})),
            checked("ticket", json!({"title": 3})),
            checked("ticket", json!({"priority": "urgent"})),
            checked("ticket", json!({"files": {"creates": ["a"]}})),
            checked("ticket", json!({"files": ["a"]})),
            checked("ticket", json!({"contract": {"acceptance_criteria": [3]}})),
            checked("comment", json!({})),
            checked("checklist", json!({"items": [{"done": true}]})),
            checked("verdict", json!({"met": "maybe", "gaps": 3})),
        ];
        let text: Vec<String> = wrong.into_iter().map(Result::unwrap_err).collect();
        insta::assert_snapshot!(text.join("\n"), @r#"
        there is no field `titel`; there are: `key`, `id`, `title`, `body`, `kind`, `priority`, `files`, `depends_on`, `contract`, `closes`
        `title` must be a text, not 3
        `priority` must be one of high, medium, low, not "urgent"
        there is no field `files.creates`; there are: `create`, `modify`
        `files` must be an object with create, modify, not ["a"]
        `contract.acceptance_criteria[0]` must be a text or an object with text, command, not 3
        `text` is missing; give a text (What it says)
        `items[0].text` is missing; give a text (What is to be done)
        `met` must be true or false, not "maybe"
        `gaps` must be a list of texts, not 3
        "#);
    }
}
