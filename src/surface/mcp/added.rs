//! Arguments that clients add to every call, whatever the tool's schema says.
use crate::reader::Form;
use serde_json::{Map, Value};

/// The argument and the client that adds it. They are for the client itself: p0 does nothing with them.
const ADDED: &[(&str, &str)] = &[
    // gemini 0.61 lets its model say whether a call waits for the one before it, and sends the answer to the server.
    ("wait_for_previous", "gemini"),
];

/// The arguments without those that a client added, unless the tool has an argument of that name.
pub(super) fn without_added(form: &Form, mut arguments: Map<String, Value>) -> Map<String, Value> {
    let own = |name: &str| form.get("properties").is_some_and(|properties| properties.get(name).is_some());
    for (name, client) in ADDED.iter().filter(|(name, _)| !own(name)) {
        if arguments.remove(*name).is_some() {
            tracing::debug!("the argument `{name}`, which {client} adds to every call, was left out");
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::{check, of_message};
    use serde_json::json;

    fn said(arguments: Value) -> Result<Value, String> {
        let form = of_message("comment");
        let Value::Object(arguments) = arguments else { panic!("an object") };
        check(&form, without_added(&form, arguments)).map(Value::Object)
    }

    #[test]
    fn what_a_client_adds_is_left_out_and_a_slip_is_told() {
        assert_eq!(said(json!({"text": "t", "wait_for_previous": true})).unwrap(), json!({"text": "t"}));
        for slip in ["wait_for_previou", "waitForPrevious", "txt"] {
            assert!(said(json!({"text": "t", slip: true})).unwrap_err().contains(slip), "{slip}");
        }
    }

    #[test]
    fn a_tool_keeps_an_argument_of_that_name() {
        let form: Form =
            serde_json::from_value(json!({"properties": {"wait_for_previous": {"type": "boolean"}}})).unwrap();
        let given: Map<String, Value> = serde_json::from_value(json!({"wait_for_previous": false})).unwrap();
        assert_eq!(without_added(&form, given.clone()), given);
    }
}
