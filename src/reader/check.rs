//! The fields of an object against their schema: what they mean, or what is wrong, in sentences that name the field and
//! the repair.
//!
//! Programs write `null` for what they leave out, a list as the text of its JSON, one text for a list of one, a number as
//! a text or with a fraction of zero, words in another case or by another name: what can be meant in one way only is
//! taken so, and everything else is told.
use super::{
    form::Form,
    words::{field_synonyms, meant, nearest, snake, truth},
};
use serde_json::{Map, Number, Value};

/// Sentences told at once.
const MOST: usize = 5;

/// What becomes of a field that the schema does not have and that no other field is meant by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// The object is refused: who wrote it reads the answer.
    Refused,
    /// It is left out and noted, unless its name is a slip of a known one: then the object is refused.
    Noted,
}

/// An object that fits its schema.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fitting {
    /// The fields, repaired.
    pub(super) fields: Map<String, Value>,
    /// What was left out or taken for something else, a sentence each.
    pub(super) notes: Vec<String>,
    /// What was left out, by the path that leads to it.
    pub(super) left_out: Map<String, Value>,
}

/// The arguments of a call as the form wants them.
///
/// # Errors
/// What is wrong, a sentence per field.
pub fn check(form: &Form, arguments: Map<String, Value>) -> Result<Map<String, Value>, String> {
    fit(form, arguments, Unknown::Refused).map(|fitting| fitting.fields).map_err(|wrong| wrong.join("\n"))
}

/// The fields of an object as the form wants them.
///
/// # Errors
/// What is wrong, a sentence per field.
pub(super) fn fit(form: &Form, fields: Map<String, Value>, unknown: Unknown) -> Result<Fitting, Vec<String>> {
    let mut look = Look::new(unknown);
    let mut fields = fields;
    look.object(form, &mut fields, "");
    if look.wrong.is_empty() {
        return Ok(Fitting { fields, notes: look.notes, left_out: look.left_out });
    }
    look.wrong.truncate(MOST);
    Err(look.wrong)
}

struct Look {
    unknown: Unknown,
    wrong: Vec<String>,
    notes: Vec<String>,
    left_out: Map<String, Value>,
}

impl Look {
    fn new(unknown: Unknown) -> Look {
        Look { unknown, wrong: Vec::new(), notes: Vec::new(), left_out: Map::new() }
    }

    fn value(&mut self, schema: &Value, value: &mut Value, at: &str) {
        if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
            return self.any_of(choices, value, at);
        }
        let Some(kind) = schema.get("type").and_then(Value::as_str) else { return };
        repair(kind, schema, value);
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
            self.wrong.push(format!("`{}` must be {}, not {}", name(at), called(schema), short(value)));
            return;
        }
        match value {
            Value::Object(fields) => self.object_of(schema, fields, at),
            Value::Array(items) => {
                let Some(of) = schema.get("items") else { return };
                for (n, item) in items.iter_mut().enumerate() {
                    self.value(of, item, &format!("{at}[{n}]"));
                }
            }
            Value::String(text) => {
                if schema.get("minLength").is_some() && text.trim().is_empty() {
                    self.wrong.push(format!("`{}` must not be empty", name(at)));
                    return;
                }
                let words = schema.get("enum").and_then(Value::as_array);
                if words.is_some_and(|words| !words.contains(value)) {
                    self.wrong.push(format!("`{}` must be {}, not {}", name(at), called(schema), short(value)));
                }
            }
            Value::Number(number) => {
                let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
                let number = number.as_f64().unwrap_or_default();
                let (low, high) = (bound("minimum"), bound("maximum"));
                if low.is_some_and(|low| number < low) || high.is_some_and(|high| number > high) {
                    self.wrong.push(format!("`{}` must be {}, not {number}", name(at), called(schema)));
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn object_of(&mut self, schema: &Value, fields: &mut Map<String, Value>, at: &str) {
        if let Some(schema) = schema.as_object() {
            self.object(schema, fields, at);
        }
    }

    fn object(&mut self, schema: &Form, fields: &mut Map<String, Value>, at: &str) {
        let none = Map::new();
        let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let path = |field: &str| if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") };
        // A form that names no field takes any, unless it says that it takes none.
        let takes_any = known.is_empty() && schema.get("additionalProperties") != Some(&Value::Bool(false));
        fields.retain(|field, value| !value.is_null() || !known.contains_key(field));
        if !takes_any {
            self.unknown_fields(known, fields, &path);
        }
        for field in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(field) {
                let of = known.get(field);
                let about = of.and_then(|of| of.get("description")).and_then(Value::as_str).unwrap_or_default();
                let what = of.map(called).unwrap_or_default();
                let about = about.trim_end_matches('.');
                self.wrong.push(format!("`{}` is missing; give {what} ({about})", path(field)));
            }
        }
        for (field, value) in fields.iter_mut() {
            if let Some(of) = known.get(field) {
                self.value(of, value, &path(field));
            }
        }
    }

    /// Gives fields the names that they mean, and leaves out or refuses the others.
    fn unknown_fields(&mut self, known: &Form, fields: &mut Map<String, Value>, path: &dyn Fn(&str) -> String) {
        let unknown: Vec<String> = fields.keys().filter(|field| !known.contains_key(*field)).cloned().collect();
        for field in unknown {
            let free = |wanted: &&str| known.contains_key(*wanted) && !fields.contains_key(*wanted);
            let spelt = snake(&field);
            let wanted = std::iter::once(spelt.as_str()).chain(field_synonyms(&spelt).iter().copied()).find(free);
            if let Some(wanted) = wanted.map(str::to_owned) {
                let value = fields.remove(&field).unwrap_or_default();
                if !value.is_null() {
                    self.notes.push(format!("`{}` was taken for `{wanted}`", path(&field)));
                    fields.insert(wanted, value);
                }
                continue;
            }
            // Two names for one thing, and two values: nobody knows which one is meant.
            let is_other = |wanted: &&&str| {
                let there = fields.get(**wanted).filter(|_| known.contains_key(**wanted));
                self.unknown == Unknown::Noted && there.is_some_and(|there| Some(there) != fields.get(&field))
            };
            if let Some(taken) = field_synonyms(&spelt).iter().find(is_other) {
                let field = path(&field);
                self.wrong.push(format!("`{field}` means `{taken}`, which is there as well; give one of the two"));
                continue;
            }
            let near = nearest(&spelt, known.keys().map(String::as_str));
            let meant = near.map(|near| format!(" (do you mean `{near}`?)")).unwrap_or_default();
            if self.unknown == Unknown::Noted && near.is_none() {
                self.left_out.extend(fields.remove(&field).map(|value| (path(&field), value)));
                self.notes.push(format!("there is no field `{}`; it was left out", path(&field)));
                continue;
            }
            let names = known.keys().map(|k| format!("`{k}`")).collect::<Vec<_>>();
            let there =
                if names.is_empty() { "there are none".into() } else { format!("there are: {}", names.join(", ")) };
            self.wrong.push(format!("there is no field `{}`{meant}; {there}", path(&field)));
        }
    }

    fn any_of(&mut self, choices: &[Value], value: &mut Value, at: &str) {
        for choice in choices {
            let mut tried = value.clone();
            let mut look = Look::new(self.unknown);
            look.value(choice, &mut tried, at);
            if look.wrong.is_empty() {
                *value = tried;
                self.notes.append(&mut look.notes);
                self.left_out.append(&mut look.left_out);
                return;
            }
        }
        let all = choices.iter().map(called).collect::<Vec<_>>().join(" or ");
        self.wrong.push(format!("`{}` must be {all}, not {}", name(at), short(value)));
    }
}

/// Takes a value for what alone it can mean.
fn repair(kind: &str, schema: &Value, value: &mut Value) {
    let meant = match (&*value, kind) {
        (Value::String(text), "object") => parsed(text).filter(Value::is_object),
        (Value::String(text), "array") => parsed(text).filter(Value::is_array).or_else(|| {
            let of_texts = schema.pointer("/items/type").and_then(Value::as_str) == Some("string");
            of_texts.then(|| Value::Array(vec![value.clone()]))
        }),
        (Value::String(text), "string") => one_of_words(schema, text).map(Value::from),
        (Value::String(text), "boolean") => truth(text).map(Value::from),
        (Value::Number(number), "boolean") => truth(&number.to_string()).map(Value::from),
        (Value::String(text), "integer") => {
            parsed(text.trim()).filter(Value::is_number).map(|n| whole(&n).unwrap_or(n))
        }
        (Value::String(text), "number") => parsed(text.trim()).filter(Value::is_number),
        (Value::Number(_), "integer") => whole(value),
        _ => None,
    };
    if let Some(meant) = meant {
        *value = meant;
    }
}

fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn one_of_words<'a>(schema: &'a Value, text: &str) -> Option<&'a str> {
    let words: Vec<&str> = schema.get("enum")?.as_array()?.iter().filter_map(Value::as_str).collect();
    meant(text, &words)
}

/// A number whose fraction is zero, as the whole number that it is.
fn whole(value: &Value) -> Option<Value> {
    /// The first whole number beyond which not every one has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = value.as_f64().filter(|n| value.is_f64() && n.fract() == 0.0 && n.abs() <= EXACT)?;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and within 2^53")]
    Some(Value::Number(Number::from(number as i64)))
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
        assert_eq!(checked("confidence", json!({"value": 80.0})).unwrap(), json!({"value": 80.0}));
        assert_eq!(
            checked("verdict", json!({"met": "No", "gaps": "x"})).unwrap(),
            json!({"met": false, "gaps": ["x"]})
        );
        assert_eq!(checked("verdict", json!({"met": 1, "why": "x"})).unwrap(), json!({"met": true, "rationale": "x"}));
        assert_eq!(checked("status", json!({"status": "Failed"})).unwrap(), json!({"status": "blocked"}));
        assert_eq!(
            checked("ticket", json!({"Title": "t", "dependsOn": "x", "severity": "URGENT"})).unwrap(),
            json!({"title": "t", "depends_on": ["x"], "priority": "high"})
        );
        let used = json!({"input_tokens": 900_000.0, "output_tokens": "5", "cached_tokens": null, "cost_usd": "12.5"});
        assert_eq!(
            checked("usage", used).unwrap(),
            json!({"input_tokens": 900_000, "output_tokens": 5, "cost_usd": 12.5})
        );
        let contract = json!({"contract": {"acceptance_criteria": ["a", {"text": "b", "command": ["true"]}]}});
        assert_eq!(checked("ticket", contract.clone()).unwrap(), contract);
    }

    #[test]
    fn every_sentence_names_the_field_and_the_mend() {
        let wrong = [
            checked("ticket", json!({"titel": "t"})),
            checked("ticket", json!({"title": 3})),
            checked("ticket", json!({"priority": "someday"})),
            checked("ticket", json!({"files": {"creates": ["a"]}})),
            checked("ticket", json!({"files": ["a"]})),
            checked("ticket", json!({"contract": {"acceptance_criteria": [3]}})),
            checked("comment", json!({})),
            checked("checklist", json!({"items": [{"done": true}]})),
            checked("verdict", json!({"met": "maybe", "gaps": 3})),
            checked("usage", json!({"input_tokens": 1.5})),
            checked("usage", json!({"output_tokens": -1})),
            checked("usage", json!({"cost_usd": "a lot"})),
        ];
        let text: Vec<String> = wrong.into_iter().map(Result::unwrap_err).collect();
        insta::assert_snapshot!(text.join("\n"), @r#"
        there is no field `titel` (do you mean `title`?); there are: `key`, `id`, `title`, `body`, `kind`, `priority`, `files`, `depends_on`, `contract`, `closes`
        `title` must be a text, not 3
        `priority` must be one of high, medium, low, not "someday"
        there is no field `files.creates` (do you mean `create`?); there are: `create`, `modify`
        `files` must be an object with create, modify, not ["a"]
        `contract.acceptance_criteria[0]` must be a text or an object with text, command, not 3
        `text` is missing; give a text (What it says)
        `items[0].text` is missing; give a text (What is to be done)
        `met` must be true or false, not "maybe"
        `gaps` must be a list of texts, not 3
        `input_tokens` must be a number from 0, not 1.5
        `output_tokens` must be a number from 0, not -1
        `cost_usd` must be a number, not "a lot"
        "#);
    }
}
