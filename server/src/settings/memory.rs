//! How much memory there is: what the machine has, or less when a container says so.

use std::path::Path;

/// Assumed where the system does not tell.
const UNKNOWN_BYTES: usize = 4 << 30;

/// The memory this process may count on, bytes.
pub fn total_bytes() -> usize {
    let machine = read("/proc/meminfo").and_then(|text| machine_bytes(&text)).unwrap_or(UNKNOWN_BYTES);
    container_bytes().map_or(machine, |container| container.min(machine))
}

/// The smallest limit of the control groups above this process: version 2, else version 1.
fn container_bytes() -> Option<usize> {
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let mut smallest = None;
    for (root, file, group) in group_folders(&groups) {
        let mut folder = Some(Path::new(&group));
        while let Some(inside) = folder {
            let path = Path::new(root).join(inside.strip_prefix("/").unwrap_or(inside)).join(file);
            let limit = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<usize>().ok());
            smallest = smallest.into_iter().chain(limit).min();
            folder = inside.parent();
        }
    }
    smallest
}

/// Where the limits are, from the lines of `/proc/self/cgroup` (`0::/a/b`, or `4:memory:/a/b`).
fn group_folders(groups: &str) -> Vec<(&'static str, &'static str, String)> {
    let mut folders = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("0"), Some(""), Some(group)) => {
                folders.push(("/sys/fs/cgroup", "memory.max", group.to_owned()));
            }
            (_, Some(controllers), Some(group)) if controllers.split(',').any(|name| name == "memory") => {
                folders.push(("/sys/fs/cgroup/memory", "memory.limit_in_bytes", group.to_owned()));
            }
            _ => {}
        }
    }
    folders
}

fn machine_bytes(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes = line.trim().trim_end_matches("kB").trim().parse::<usize>().ok()?;
    kibibytes.checked_mul(1024)
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_tells_in_kibibytes() {
        assert_eq!(machine_bytes("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(machine_bytes("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn both_versions_of_control_groups_are_found() {
        assert_eq!(
            group_folders("0::/docker/abc\n"),
            [("/sys/fs/cgroup", "memory.max", "/docker/abc".to_owned())]
        );
        assert_eq!(
            group_folders("5:cpu,cpuacct:/\n4:memory:/user\n"),
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "/user".to_owned())]
        );
    }
}
