//! The extended protocol: Parse, Bind, Describe, Execute and Close, each on its own, so that a client can prepare once,
//! ask for types, and take rows in portions. Errors reach `connection.rs`, which then skips to Sync.

use arrow::datatypes::{DataType, Schema};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse};
use tarn_sql::types::{arrow_type, pg_type};
use tarn_sql::{Named, Origin, Outcome, Prepared};

use super::connection::Connection;
use super::decode::Parameter;
use super::encode::{Format, RowEncoder};
use super::error::Failure;
use super::frame::{Bind, Parse, Target};
use super::inbox::Inbox;
use super::output::Output;
use super::portal::{Cursor, Portal, Progress, ending, tag};
use crate::metrics::Timer;

/// Portals that one connection may have at a time.
const PORTALS_MAX: usize = 1_000;

/// Zero, and the type `unknown`, leave a parameter's type to us.
const UNTYPED_OIDS: [u32; 2] = [0, 705];

impl Connection {
    pub(super) async fn parse(&mut self, parse: Parse, output: &mut Output) -> Result<(), Failure> {
        let name = parse.statement;
        self.session.check_new_prepared(&name)?;
        // Whatever happens now, the one before is gone.
        self.session.forget_prepared_statement(&name);
        let mut parsed = self.session.parse(&parse.sql)?;
        if parsed.len() > 1 {
            return Err(Failure::error("42601", "cannot insert multiple commands into a prepared statement"));
        }
        let statement = match parsed.pop() {
            Some(parsed) => {
                let types = declared_types(&parse.parameter_oids)?;
                Some(self.session.prepare(parsed, &types).await?)
            }
            None => None,
        };
        self.session.keep_prepared(name, Named { statement, declared: parse.parameter_oids })?;
        self.tell_notices(output)?;
        output.put(&Backend::ParseComplete(ParseComplete::new()))
    }

    pub(super) fn bind(&mut self, bind: Bind, output: &mut Output) -> Result<(), Failure> {
        let zone = self.zone();
        let prepared = self.session.prepared(&bind.statement)?;
        let types = parameters(&prepared);
        if !bind.portal.is_empty() && self.portals.contains_key(&bind.portal) {
            return Err(Failure::error("42P03", format!("cursor \"{}\" already exists", bind.portal)));
        }
        if self.portals.len() >= PORTALS_MAX {
            return Err(Failure::error("54000", format!("a connection has at most {PORTALS_MAX} portals")));
        }
        let (given, wanted) = (bind.parameters.len(), types.len());
        if given != wanted {
            let name = &bind.statement;
            return Err(Failure::protocol(format!(
                "bind message supplies {given} parameters, but prepared statement \"{name}\" requires {wanted}"
            )));
        }
        let formats = spread(&bind.parameter_formats, given, "parameter")?;
        let mut parameters = Vec::with_capacity(given);
        for (place, (parameter, value)) in types.iter().zip(&bind.parameters).enumerate() {
            let array = parameter.decode(value.as_deref(), formats[place], zone, place + 1);
            parameters.push(array.map_err(|report| Failure::Error(Box::new(report)))?);
        }
        let columns = prepared.statement.as_ref().and_then(Prepared::columns);
        let formats =
            result_formats(&bind.result_formats, columns.map_or(0, |columns| columns.fields().len()))?;
        let statement = prepared.statement.clone();
        let portal = Portal { statement, parameters, formats, progress: Progress::Start };
        self.portals.insert(bind.portal, portal);
        output.put(&Backend::BindComplete(BindComplete::new()))
    }

    pub(super) fn describe(&mut self, target: &Target, output: &mut Output) -> Result<(), Failure> {
        let zone = self.zone();
        let (statement, formats) = match target {
            Target::Statement(name) => {
                let prepared = self.session.prepared(name)?;
                let oids = parameters(&prepared).iter().map(|parameter| parameter.oid).collect();
                output.put(&Backend::ParameterDescription(ParameterDescription::new(oids)))?;
                (prepared.statement.clone(), None)
            }
            Target::Portal(name) => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                (portal.statement.clone(), Some(&portal.formats))
            }
        };
        match statement.as_ref().and_then(Prepared::columns) {
            None => output.put(&Backend::NoData(NoData::new())),
            Some(columns) => {
                // A statement has no formats yet: text is said, as PostgreSQL does.
                let text = vec![Format::Text; columns.fields().len()];
                let encoder = RowEncoder::new(columns, formats.unwrap_or(&text), zone);
                output.put(&Backend::RowDescription(encoder.description()))
            }
        }
    }

    pub(super) async fn execute(
        &mut self,
        name: &str,
        rows_max: usize,
        inbox: &mut Inbox,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        let Some(statement) = &portal.statement else {
            self.portals.insert(name.to_owned(), portal);
            return output.put(&Backend::EmptyQueryResponse(EmptyQueryResponse::new()));
        };
        let door = self.door.clone();
        let mut timer = Timer::start(&door.metrics, statement.text());
        // A portal that meets an error is gone; the transaction it belongs to has failed.
        let done = self.advance(name, &mut portal, rows_max, inbox, output).await;
        timer.ending = ending(&done);
        if done.is_ok() {
            self.portals.insert(name.to_owned(), portal);
        }
        done
    }

    async fn advance(
        &mut self,
        name: &str,
        portal: &mut Portal,
        rows_max: usize,
        inbox: &mut Inbox,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let cursor = match std::mem::replace(&mut portal.progress, Progress::Done) {
            Progress::Start => match self.start(portal, inbox, output).await? {
                Started::Rows(cursor) => cursor,
                Started::Done(tag) => return self.complete(tag, output),
            },
            Progress::Rows(cursor) => cursor,
            Progress::NoMoreRows { tag: word } => {
                portal.progress = Progress::NoMoreRows { tag: word };
                return output.put(&Backend::CommandComplete(CommandComplete::new(tag(word, 0))));
            }
            Progress::Done => {
                return Err(Failure::error("55000", format!("portal \"{name}\" cannot be run")));
            }
        };
        self.send_rows(portal, cursor, rows_max, output).await
    }

    async fn send_rows(
        &mut self,
        portal: &mut Portal,
        mut cursor: Cursor,
        rows_max: usize,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let sent = cursor.send(rows_max, output).await?;
        self.door.metrics.rows_sent.increment(sent.rows as u64);
        if sent.ended {
            let tag = cursor.tag(sent.rows);
            portal.progress = Progress::NoMoreRows { tag: cursor.word() };
            self.complete(tag, output)
        } else {
            portal.progress = Progress::Rows(cursor);
            output.put(&Backend::PortalSuspended(PortalSuspended::new()))
        }
    }

    /// Runs a portal's statement up to its first row.
    async fn start(
        &mut self,
        portal: &mut Portal,
        inbox: &mut Inbox,
        output: &mut Output,
    ) -> Result<Started, Failure> {
        let statement = portal.statement.as_ref().expect("the empty statement is answered before");
        if !self.before_sync {
            // More may come: what is executed up to Sync stands or falls together.
            self.session.begin_implicit(Origin::Pipeline);
        }
        match self.session.execute(statement, &portal.parameters).await? {
            Outcome::Done { tag } => Ok(Started::Done(tag)),
            Outcome::CopyOut { schema, rows, options, file } => {
                self.copy_out(schema, rows, options, file, output).await.map(Started::Done)
            }
            Outcome::CopyIn(copy) => self.copy_in(*copy, inbox, output).await.map(Started::Done),
            Outcome::Rows { schema, rows, tag } => {
                check_unchanged(statement, &schema)?;
                let encoder = RowEncoder::new(&schema, &portal.formats, self.zone());
                Ok(Started::Rows(Cursor::new(rows, encoder, tag)))
            }
        }
    }

    pub(super) fn close(&mut self, target: &Target, output: &mut Output) -> Result<(), Failure> {
        // Closing what is not there is no error.
        match target {
            Target::Statement(name) => self.session.forget_prepared_statement(name),
            Target::Portal(name) => drop(self.portals.remove(name)),
        }
        output.put(&Backend::CloseComplete(CloseComplete::new()))
    }
}

/// The parameters of a statement, as the client declared them or was told.
fn parameters(named: &Named) -> Vec<Parameter> {
    let data_types = named.statement.as_ref().map(Prepared::parameters).unwrap_or_default();
    let declared = named.declared.iter().copied().chain(std::iter::repeat(0));
    let pairs = data_types.iter().cloned().zip(declared);
    pairs.map(|(data_type, oid)| Parameter::new(data_type, oid)).collect()
}

/// What the first execution of a portal gave.
enum Started {
    Rows(Cursor),
    Done(String),
}

/// The client knows the columns from Describe; if a table has changed since, its rows would be misread.
fn check_unchanged(statement: &Prepared, schema: &Schema) -> Result<(), Failure> {
    let oids = |schema: &Schema| schema.fields().iter().map(|field| pg_type(field).oid).collect::<Vec<_>>();
    if statement.columns().is_some_and(|columns| oids(columns) == oids(schema)) {
        Ok(())
    } else {
        Err(Failure::error("0A000", "cached plan must not change result type"))
    }
}

fn declared_types(oids: &[u32]) -> Result<Vec<Option<DataType>>, Failure> {
    let declared = |oid: &u32| {
        if UNTYPED_OIDS.contains(oid) {
            return Ok(None);
        }
        let data_type = arrow_type(*oid, -1);
        let unknown =
            || Failure::error("0A000", format!("parameters of the type with OID {oid} are not supported"));
        data_type.map(Some).ok_or_else(unknown)
    };
    oids.iter().map(declared).collect()
}

/// Format codes as the protocol abbreviates them: none is text for all, one is for all, otherwise one each.
fn spread(codes: &[i16], count: usize, what: &str) -> Result<Vec<i16>, Failure> {
    match codes {
        [] => Ok(vec![0; count]),
        [code] => Ok(vec![*code; count]),
        codes if codes.len() == count => Ok(codes.to_vec()),
        codes => Err(Failure::protocol(format!(
            "bind message has {} {what} formats but {count} {what}s",
            codes.len()
        ))),
    }
}

fn result_formats(codes: &[i16], columns: usize) -> Result<Vec<Format>, Failure> {
    // A statement without columns may be given formats for none of them.
    let codes = if columns == 0 { Vec::new() } else { spread(codes, columns, "result column")? };
    let format = |code| match code {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        other => Err(Failure::error("22023", format!("unsupported format code: {other}"))),
    };
    codes.into_iter().map(format).collect()
}

fn no_portal(name: &str) -> Failure {
    Failure::error("34000", format!("portal \"{name}\" does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_spread_over_columns() {
        let check = |codes: &[i16], count, expect: Option<&[i16]>| {
            assert_eq!(spread(codes, count, "parameter").ok().as_deref(), expect, "{codes:?} for {count}");
        };
        check(&[], 2, Some(&[0, 0]));
        check(&[1], 3, Some(&[1, 1, 1]));
        check(&[0, 1], 2, Some(&[0, 1]));
        check(&[0, 1], 3, None);
        assert!(result_formats(&[2], 1).is_err());
        assert_eq!(result_formats(&[1], 0).ok(), Some(vec![]));
    }
}
