//! What an attempt says through its door.
use crate::{
    model::{protocol::Message, reply::Reply},
    service::problem::{Kind, Problem},
    surface::{
        client::{Client, query},
        ui,
    },
};

/// Says it; `ticket` is whom the attempt believes to speak for, which the door checks.
pub(super) async fn say(client: &Client, ticket: Option<&str>, message: &Message, json: bool) -> Result<u8, Problem> {
    let path = format!("/api/v1/attempt/say{}", query([("ticket", ticket)]));
    let reply: Reply = client.post(&path, message).await?;
    if let Reply::Refused { why } = reply {
        return Err(Problem::new(Kind::Refused, why));
    }
    if json {
        ui::json(&reply)?;
    } else {
        ui::line(&format!("{} is on record", message.word()));
    }
    Ok(0)
}
