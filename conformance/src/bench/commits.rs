//! Commits per second of 64 sessions, each to a table of its own and all to one; every row must be there afterwards.

use super::report::Report;
use crate::Result;
use crate::concurrency::rate;
use crate::server::Server;
use std::time::Duration;

const SESSIONS: usize = 64;
const TIME: Duration = Duration::from_secs(10);

pub async fn measure(server: &Server, report: &mut Report) -> Result<()> {
    for (tables, name) in [(SESSIONS, "64 sessions, a table each"), (1, "64 sessions, one table")] {
        let rate = rate::measure(server.addresses(), SESSIONS, tables, TIME).await?;
        rate.violations.iter().for_each(|violation| println!("{violation}"));
        let figure = format!("{:.0} commits/s", rate.per_second);
        println!("{}", report.add_figure(name, figure, rate.violations.is_empty()));
    }
    Ok(())
}
