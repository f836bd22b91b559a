//! The simple protocol: a text of any number of statements, each with its own result, in text format. The first error
//! ends the text.

use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse};
use tarn_sql::{Outcome, Parsed};

use super::connection::Connection;
use super::encode::{Format, RowEncoder};
use super::error::Failure;
use super::output::Output;
use super::portal::{Cursor, ending};
use crate::metrics::Timer;

impl Connection {
    pub(super) async fn query(&mut self, sql: &str, output: &mut Output) -> Result<(), Failure> {
        // As in PostgreSQL, the unnamed ones end here.
        self.statements.remove("");
        self.portals.remove("");
        let statements = self.session.parse(sql)?;
        if statements.is_empty() {
            return output.put(&Backend::EmptyQueryResponse(EmptyQueryResponse::new()));
        }
        for statement in statements {
            self.run_statement(statement, output).await?;
        }
        Ok(())
    }

    async fn run_statement(&mut self, statement: Parsed, output: &mut Output) -> Result<(), Failure> {
        let door = self.door.clone();
        let mut timer = Timer::start(&door.metrics, statement.text());
        let done = self.answer(statement, output).await;
        timer.ending = ending(&done);
        done
    }

    async fn answer(&mut self, statement: Parsed, output: &mut Output) -> Result<(), Failure> {
        match self.session.run(statement).await? {
            Outcome::Done { tag } => self.complete(tag, output),
            Outcome::Rows { schema, rows, tag } => {
                let formats = vec![Format::Text; schema.fields().len()];
                let encoder = RowEncoder::new(&schema, &formats, self.zone());
                output.put(&Backend::RowDescription(encoder.description()))?;
                let mut cursor = Cursor::new(rows, encoder, tag);
                let sent = cursor.send(usize::MAX, output).await?;
                self.door.metrics.rows_sent.increment(sent.rows as u64);
                self.complete(cursor.tag(sent.rows), output)
            }
        }
    }

    /// Tells the client that a statement is done.
    pub(super) fn complete(&mut self, tag: String, output: &mut Output) -> Result<(), Failure> {
        if matches!(tag.as_str(), "DISCARD ALL" | "DEALLOCATE ALL") {
            self.statements.clear();
        }
        self.tell_notices(output)?;
        output.put(&Backend::CommandComplete(CommandComplete::new(tag)))
    }
}
