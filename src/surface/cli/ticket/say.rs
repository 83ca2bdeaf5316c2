//! What an attempt says through its socket.
use crate::{
    contract::{attempts::SayQuery, endpoints::Say},
    model::{protocol::Message, reply::Reply},
    service::problem::{Kind, Problem},
    surface::{client::Client, ui},
};

/// Says it; `ticket` is whom the attempt believes to speak for, which the socket checks.
pub(super) async fn say(client: &Client, ticket: Option<&str>, message: &Message, json: bool) -> Result<u8, Problem> {
    let meant = SayQuery { ticket: ticket.map(str::to_owned) };
    let reply = client.post(Say::at().query(&meant), message).await?;
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
