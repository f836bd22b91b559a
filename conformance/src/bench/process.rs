//! What the server process costs, as the Linux kernel counts it in /proc.

use crate::Result;

/// Memory that is resident now.
pub fn resident_bytes(process_id: u32) -> Result<u64> {
    status_bytes(process_id, "VmRSS:")
}

/// The most that was ever resident.
pub fn peak_bytes(process_id: u32) -> Result<u64> {
    status_bytes(process_id, "VmHWM:")
}

fn status_bytes(process_id: u32, field: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()).ok_or("/proc tells no memory")?;
    Ok(kibibytes.parse::<u64>()? * 1024)
}
