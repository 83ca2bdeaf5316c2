//! What differs between two states, place by place.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One place that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// Where, from the root: `tickets.BLOG-1.status.state`.
    pub path: String,
    /// What stood there; null when nothing did.
    pub before: Value,
    /// What stands there; null when nothing does.
    pub after: Value,
}

/// The places where `after` differs from `before`, in the order of their names. Of what is new or gone as a whole, the
/// whole is one place.
pub fn between(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    look(String::new(), before, after, &mut found);
    found
}

fn look(path: String, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (before, after) {
        (same, other) if same == other => {}
        (Value::Object(old), Value::Object(new)) => {
            let mut names: Vec<&String> =
                old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))).collect();
            names.sort();
            for name in names {
                let of = |object: &serde_json::Map<String, Value>| object.get(name).cloned().unwrap_or(Value::Null);
                look(inner(name), &of(old), &of(new), found);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for n in 0..old.len().max(new.len()) {
                let of = |list: &[Value]| list.get(n).cloned().unwrap_or(Value::Null);
                look(inner(&n.to_string()), &of(old), &of(new), found);
            }
        }
        _ => found.push(Difference { path, before: before.clone(), after: after.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_told() {
        let before = json!({"a": {"x": 1, "y": [1, 2]}, "gone": true, "same": "s"});
        let after = json!({"a": {"x": 2, "y": [1, 3, 4]}, "new": {"z": null}, "same": "s"});
        let told: Vec<String> =
            between(&before, &after).iter().map(|d| format!("{}: {} -> {}", d.path, d.before, d.after)).collect();
        let expected =
            ["a.x: 1 -> 2", "a.y.1: 2 -> 3", "a.y.2: null -> 4", "gone: true -> null", "new: null -> {\"z\":null}"];
        assert_eq!(told, expected);
        assert!(between(&after, &after).is_empty());
    }
}
