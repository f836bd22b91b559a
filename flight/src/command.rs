//! Commands of Flight SQL, taken out of the messages of Flight that carry them.

use arrow_flight::sql::{Any, Command, ProstMessageExt};
use arrow_flight::{FlightDescriptor, flight_descriptor::DescriptorType};
use prost::Message;
use tarn_sql::Error;

use crate::status::violation;

/// The command of a descriptor.
pub fn of_descriptor(descriptor: &FlightDescriptor) -> Result<Command, Error> {
    if descriptor.r#type != DescriptorType::Cmd as i32 {
        return Err(violation("a descriptor that is not a command")
            .with_hint("This server speaks Flight SQL: send a statement, or ask for its tables."));
    }
    read(&descriptor.cmd)
}

/// The command in a ticket or descriptor.
pub fn read(bytes: &[u8]) -> Result<Command, Error> {
    let any = Any::decode(bytes).map_err(|_| violation("a command that is not a message of Flight SQL"))?;
    Command::try_from(any).map_err(|error| violation(format!("a command that cannot be read: {error}")))
}

/// The body of an action, which is wrapped like a command.
pub fn body<M: ProstMessageExt>(bytes: &[u8]) -> Result<M, Error> {
    let unreadable = || violation(format!("the action is not a {}", M::type_url()));
    let any = Any::decode(bytes).map_err(|_| unreadable())?;
    any.unpack().ok().flatten().ok_or_else(unreadable)
}

/// The body of an action of Flight itself, which is not wrapped.
pub fn plain_body<M: Message + Default>(bytes: &[u8]) -> Result<M, Error> {
    M::decode(bytes).map_err(|error| violation(format!("the body of the action cannot be read: {error}")))
}

/// What is not there, by the name of its message.
pub fn unsupported(command: &Command) -> Error {
    let name = command.type_url().rsplit('.').next().unwrap_or_default();
    match name {
        "CommandStatementSubstraitPlan" => {
            Error::unsupported("a Substrait plan").with_hint("Send the statement as SQL.")
        }
        "" => violation("an empty command"),
        name => violation(format!("{name} cannot be asked for in this way")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_flight::sql::{
        ActionBeginTransactionRequest, ActionEndTransactionRequest, CommandStatementQuery,
    };

    #[test]
    fn commands_are_read_and_garbage_is_an_error() {
        let query = CommandStatementQuery { query: "SELECT 1".to_owned(), transaction_id: None };
        let bytes = query.as_any().encode_to_vec();
        let descriptor = FlightDescriptor::new_cmd(bytes.clone());
        assert!(
            matches!(of_descriptor(&descriptor), Ok(Command::CommandStatementQuery(read)) if read == query)
        );
        let path = FlightDescriptor::new_path(vec!["t".to_owned()]);
        for error in [
            of_descriptor(&path).expect_err("a path"),
            read(b"\xff\xff").expect_err("garbage"),
            read(&bytes[..bytes.len() - 1]).expect_err("cut"),
            body::<ActionEndTransactionRequest>(&ActionBeginTransactionRequest {}.as_any().encode_to_vec())
                .expect_err("another action"),
        ] {
            assert_eq!(error.sqlstate.code(), "08P01", "{error}");
        }
    }
}
