//! What the sessions of this process have to do with each other and with us: `pg_locks`, which lists the advisory locks
//! (there are no others), and `system.unhandled_probes`, the questions to the catalogs that nothing answered.

use super::rows::Scan;
use super::value::Rows;
use crate::error::Result;

pub fn pg_locks(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    let database = u32::try_from(scan.context.catalog.0).unwrap_or(u32::MAX);
    for lock in scan.context.locks.rows() {
        rows.push([
            ("locktype", "advisory".into()),
            ("database", database.into()),
            ("classid", lock.key.class.into()),
            ("objid", lock.key.object.into()),
            ("objsubid", lock.key.kind.into()),
            ("pid", lock.session.into()),
            ("mode", if lock.shared { "ShareLock" } else { "ExclusiveLock" }.into()),
            ("granted", lock.granted.into()),
            ("fastpath", false.into()),
        ])?;
    }
    Ok(rows)
}

/// Texts of other users' statements, so only a superuser sees them.
pub fn unhandled_probes(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    if !scan.context.principal.superuser {
        return Ok(rows);
    }
    for probe in scan.context.probes.all() {
        rows.push([
            ("occurred_at", (probe.at_ms * 1000).into()),
            ("role", probe.role.into()),
            ("application_name", probe.application_name.into()),
            ("sqlstate", probe.sqlstate.into()),
            ("message", probe.message.into()),
            ("query", probe.query.into()),
        ])?;
    }
    Ok(rows)
}
