//! What the sessions of this process have to do with each other and with us: `pg_stat_activity`, what each is doing,
//! `pg_locks`, which lists the advisory locks (there are no others), and `system.unhandled_probes`, the questions to the
//! catalogs that nothing answered.

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

/// Who is not the session's user, and may not act as him, sees that the session is there and no more.
pub fn pg_stat_activity(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    let context = &scan.context;
    let database = u32::try_from(context.catalog.0).unwrap_or(u32::MAX);
    for session in context.sessions.all() {
        let row = [
            ("datid", database.into()),
            ("datname", context.database.as_str().into()),
            ("pid", session.pid.into()),
            ("usesysid", session.role.oid().into()),
            ("usename", session.user.as_str().into()),
        ];
        if !context.principal.acts_as(session.role) {
            let hidden = ("query", "<insufficient privilege>".into());
            rows.push(row.into_iter().chain([hidden]))?;
            continue;
        }
        let doing = session.doing();
        let port = |peer: std::net::SocketAddr| i32::from(peer.port());
        let waits = (!doing.runs).then_some(("Client", "ClientRead"));
        rows.push(row.into_iter().chain([
            ("application_name", doing.application_name.as_str().into()),
            ("client_addr", session.peer.map(|peer| peer.ip().to_string()).into()),
            ("client_port", session.peer.map(port).into()),
            ("backend_start", session.started_at.into()),
            ("xact_start", doing.transaction().into()),
            ("query_start", doing.query_started_at.into()),
            ("state_change", doing.changed_at.into()),
            ("wait_event_type", waits.map(|(kind, _)| kind).into()),
            ("wait_event", waits.map(|(_, event)| event).into()),
            ("state", doing.state().into()),
            ("query", doing.query.as_str().into()),
            ("backend_type", "client backend".into()),
        ]))?;
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
