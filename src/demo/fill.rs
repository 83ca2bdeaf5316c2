//! Placeholders in a playbook, filled from the input the engine gave.

use serde_json::Value;

/// Fills every placeholder in one text. An error names the placeholder and what is wrong with it.
pub(super) fn fill(text: &str, input: &Value) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(kept) = before.strip_suffix('$') {
            // "$${" writes "${".
            filled.push_str(kept);
            filled.push_str("${");
            rest = from.get(2..).expect("begins with the two bytes found");
            continue;
        }
        filled.push_str(before);
        let end = from.find('}').ok_or_else(|| format!("the placeholder in {text:?} has no closing brace"))?;
        filled.push_str(&value_of(from.get(2..end).expect("the brace comes after the two bytes found"), input)?);
        rest = from.get(end + 1..).expect("the brace is one byte");
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Fills every string within a JSON value, keys excepted.
pub(super) fn fill_value(value: &Value, input: &Value) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(fill(text, input)?),
        Value::Array(items) => Value::Array(items.iter().map(|it| fill_value(it, input)).collect::<Result<_, _>>()?),
        Value::Object(fields) => {
            let filled = fields.iter().map(|(key, it)| Ok((key.clone(), fill_value(it, input)?)));
            Value::Object(filled.collect::<Result<_, String>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

fn value_of(name: &str, input: &Value) -> Result<String, String> {
    if let Some(title) = name.strip_prefix("id:") {
        return ticket_id(input, title, |kind| kind != Some("feedback"))
            .ok_or_else(|| format!("${{{name}}}: no ticket in the input has this title"));
    }
    if let Some(title) = name.strip_prefix("feedback:") {
        return ticket_id(input, title, |kind| kind == Some("feedback"))
            .ok_or_else(|| format!("${{{name}}}: no feedback item in the input has this title"));
    }
    let found = name.split('.').try_fold(input, |at, step| match at {
        Value::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
        _ => at.get(step),
    });
    match found {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Null) | None => Err(format!("${{{name}}}: the input has no such value")),
        Some(other) => Ok(other.to_string()),
    }
}

/// The newest ticket of this title: a later run may use a title again.
fn ticket_id(input: &Value, title: &str, kind_fits: impl Fn(Option<&str>) -> bool) -> Option<String> {
    let text = |ticket: &Value, key: &str| ticket.get(key).and_then(Value::as_str).map(str::to_owned);
    let tickets = input.get("tickets")?.as_array()?;
    let found = tickets
        .iter()
        .rev()
        .find(|it| text(it, "title").as_deref() == Some(title) && kind_fits(text(it, "kind").as_deref()))?;
    text(found, "id")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn input() -> Value {
        json!({
            "role": "executor", "iteration": 2, "ticket": {"id": "BLOG-1", "title": "API", "parent": null},
            "tickets": [
                {"id": "BLOG-1", "title": "API", "kind": "task"},
                {"id": "BLOG-7", "title": "API", "kind": "feedback"},
            ],
        })
    }

    #[test]
    fn dotted_names_reach_into_the_input() {
        assert_eq!(fill("${ticket.id}: ${role} ${iteration}", &input()).unwrap(), "BLOG-1: executor 2");
        assert_eq!(fill("${tickets.1.id}", &input()).unwrap(), "BLOG-7");
    }

    #[test]
    fn titles_become_ids_work_and_feedback_apart() {
        assert_eq!(fill("${id:API} ${feedback:API}", &input()).unwrap(), "BLOG-1 BLOG-7");
    }

    #[test]
    fn a_doubled_dollar_writes_the_braces() {
        assert_eq!(fill("echo $${HOME} $5 ${role}", &input()).unwrap(), "echo ${HOME} $5 executor");
    }

    #[test]
    fn what_cannot_be_filled_is_named() {
        for text in ["${nothing}", "${ticket.parent}", "${id:Nowhere}", "${feedback:Nowhere}", "${role"] {
            let error = fill(text, &input()).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn values_are_filled_at_any_depth() {
        let said = json!({"type": "ticket", "depends_on": ["${id:API}"], "n": 1});
        assert_eq!(fill_value(&said, &input()).unwrap(), json!({"type": "ticket", "depends_on": ["BLOG-1"], "n": 1}));
    }
}
