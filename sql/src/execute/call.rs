//! Procedures.

use crate::crawl::{self, CrawlRequest};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::plan::Context;

/// `CALL system.crawl`: one row per table found.
pub(super) async fn crawl(location: String, schema: String, context: &Context) -> Result<Outcome> {
    let request = CrawlRequest { location, schema };
    let report = crawl::crawl(request, &context.scope.principal, context.catalog(), &context.state).await?;
    Ok(Outcome::batch(report.to_batch()?, "CALL"))
}
