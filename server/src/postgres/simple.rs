//! The simple protocol: a text of any number of statements, each with its own result, in text format. The first error
//! ends the text. Several statements are one transaction, unless they end it themselves.

use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse};
use tarn_sql::{Origin, Outcome, Parsed};

use super::connection::Connection;
use super::encode::{Format, RowEncoder};
use super::error::Failure;
use super::inbox::Inbox;
use super::output::Output;
use super::portal::{Cursor, ending};
use crate::metrics::Timer;

impl Connection {
    pub(super) async fn query(
        &mut self,
        sql: &str,
        inbox: &mut Inbox,
        output: &mut Output,
    ) -> Result<(), Failure> {
        // As in PostgreSQL, the unnamed ones end here.
        self.session.forget_prepared_statement("");
        self.portals.remove("");
        let statements = self.session.parse(sql)?;
        if statements.is_empty() {
            return output.put(&Backend::EmptyQueryResponse(EmptyQueryResponse::new()));
        }
        let count = statements.len();
        for (number, statement) in statements.into_iter().enumerate() {
            if count > 1 {
                self.session.begin_implicit(Origin::Message);
            }
            self.run_statement(statement, number + 1 == count, inbox, output).await?;
        }
        Ok(())
    }

    async fn run_statement(
        &mut self,
        statement: Parsed,
        is_last: bool,
        inbox: &mut Inbox,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let door = self.door.clone();
        let mut timer = Timer::start(&door.metrics, statement.text());
        let done = self.answer(statement, is_last, inbox, output).await;
        timer.ending = ending(&done);
        done
    }

    async fn answer(
        &mut self,
        statement: Parsed,
        is_last: bool,
        inbox: &mut Inbox,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let tag = match self.session.run(statement).await? {
            Outcome::Done { tag } => tag,
            Outcome::Rows { schema, rows, tag } => {
                let formats = vec![Format::Text; schema.fields().len()];
                let encoder = RowEncoder::new(&schema, &formats, self.zone());
                output.put(&Backend::RowDescription(encoder.description()))?;
                let mut cursor = Cursor::new(rows, encoder, tag);
                let sent = cursor.send(usize::MAX, output).await?;
                self.door.metrics.rows_sent.increment(sent.rows as u64);
                cursor.tag(sent.rows)
            }
            Outcome::CopyOut { schema, rows, options, file } => {
                self.copy_out(schema, rows, options, file, output).await?
            }
            Outcome::CopyIn(copy) => self.copy_in(*copy, inbox, output).await?,
        };
        // The end of the last statement says that all of them have happened.
        if is_last {
            self.session.end_implicit().await?;
        }
        self.complete(tag, output)
    }

    /// Tells the client that a statement is done.
    pub(super) fn complete(&mut self, tag: String, output: &mut Output) -> Result<(), Failure> {
        self.tell_notices(output)?;
        output.put(&Backend::CommandComplete(CommandComplete::new(tag)))
    }
}
