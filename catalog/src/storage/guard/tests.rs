//! Hostile and honest locations, and what the guard says to each.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use super::*;
use crate::id::{PUBLIC_ROLE, SUPERUSER};

fn principal(superuser: bool) -> Principal {
    Principal {
        role: SUPERUSER,
        name: "tarn".to_string(),
        superuser,
        create_role: superuser,
        create_schema: superuser,
        roles: BTreeSet::from([SUPERUSER, PUBLIC_ROLE]),
    }
}

/// A folder with `data` (the server's, warehouse inside), `landing` (users' files), `elsewhere`, and links between them.
struct World {
    folder: tempfile::TempDir,
    guard: StorageGuard,
}

impl World {
    fn new(local_roots: Option<&[&str]>) -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        for name in ["data/catalog", "data/warehouse/public/t-1/data", "landing/sub", "elsewhere"] {
            std::fs::create_dir_all(root.join(name)).expect("the folder is made");
        }
        for name in [
            "data/catalog/CURRENT",
            "data/warehouse/public/t-1/data/a.parquet",
            "landing/a.csv",
            "elsewhere/s",
        ] {
            std::fs::write(root.join(name), "x").expect("the file is written");
        }
        for (target, link) in [
            ("data/catalog", "landing/into_catalog"),
            ("data/catalog/CURRENT", "landing/current"),
            ("elsewhere", "landing/out"),
            ("nowhere", "landing/dangling"),
            ("elsewhere/s", "data/warehouse/public/t-1/data/link"),
        ] {
            symlink(root.join(target), root.join(link)).expect("the link is made");
        }
        let guard = StorageGuard::new(&StorageOptions {
            forbidden: vec![root.join("data")],
            warehouse: format!("file://{}/data/warehouse", root.display()),
            local_roots: local_roots.map(|roots| roots.iter().map(|name| root.join(name)).collect()),
            ..StorageOptions::default()
        });
        World { guard: guard.expect("a guard"), folder }
    }

    /// `$` stands for the folder, in the text and in the answer.
    fn text(&self, text: &str) -> String {
        text.replace('$', &self.folder.path().display().to_string())
    }

    fn answer(&self, result: Result<Checked>) -> String {
        let answer = match result {
            Ok(checked) => match checked.pattern() {
                Some(pattern) => format!("{checked} then {pattern}"),
                None => checked.to_string(),
            },
            Err(error) => format!("{:?}", error.kind),
        };
        answer.replace(&self.folder.path().display().to_string(), "$")
    }

    fn check_user(&self, text: &str, expected: &str) {
        let text = self.text(text);
        assert_eq!(
            self.answer(self.guard.user_path(&principal(true), &text)),
            expected,
            "user path {text:?}"
        );
    }
}

#[test]
fn superusers_name_files_anywhere_but_in_the_data_folder() {
    let world = World::new(None);
    world.check_user("$/landing/a.csv", "file://$/landing/a.csv");
    world.check_user("$/landing/", "file://$/landing/");
    world.check_user("file://$/landing/a.csv", "file://$/landing/a.csv");
    world.check_user("$/landing/./sub//b.csv", "file://$/landing/sub/b.csv");
    world.check_user("$/landing/*.csv", "file://$/landing/ then *.csv");
    world.check_user("$/landing/s*/x?.csv", "file://$/landing/ then s*/x?.csv");
    world.check_user("$/landing/out/s", "file://$/elsewhere/s");
    world.check_user("$/landing/not/there.csv", "file://$/landing/not/there.csv");
    world.check_user("s3://bucket/a/*.parquet", "s3://bucket/a/ then *.parquet");
    for denied in [
        "$/data/catalog/CURRENT",
        "$/data",
        "$/data/",
        "$/data/*",
        "$/data/not-there-yet",
        "file://$/data/catalog",
        "$/landing/current",
        "$/landing/into_catalog/CURRENT",
        "$/landing/into_catalog/*",
        "$/data/warehouse/public/t-1/data/a.parquet",
        "/proc/self/root$/data/catalog/CURRENT",
    ] {
        world.check_user(denied, "Denied");
    }
    for invalid in [
        "",
        "$/landing/../data/catalog/CURRENT",
        "$/landing/%2e%2e/data",
        "$/landing/a\0.csv",
        "$/landing/a\u{202e}.csv",
        "$/landing/dangling",
        "$/landing/dangling/x",
        "/dev/null",
        "file://host/etc/passwd",
        "../landing",
    ] {
        world.check_user(invalid, "InvalidArgument");
    }
    world.check_user("http://169.254.169.254/latest", "Unsupported");
    world.check_user("memory:///x", "Unsupported");
    world.check_user(&"x".repeat(5000), "Limit");
}

#[test]
fn a_relative_path_starts_at_the_working_directory() {
    let world = World::new(None);
    let working = std::env::current_dir().expect("a working directory").canonicalize().expect("it exists");
    let checked = world.guard.user_path(&principal(true), "some/file.csv").expect("a good path");
    assert_eq!(checked.to_string(), format!("file://{}/some/file.csv", working.display()));
}

#[test]
fn other_roles_name_no_files_but_reach_what_was_registered() {
    let world = World::new(None);
    for text in ["$/landing/a.csv", "s3://bucket/a", "$/data"] {
        let denied = world.guard.user_path(&principal(false), &world.text(text)).expect_err("it is denied");
        assert_eq!(denied.kind, ErrorKind::Denied, "{text}");
        assert!(denied.hint.is_some());
    }
    let registered = world.guard.external_location(&world.text("file://$/landing/a.csv"));
    assert_eq!(world.answer(registered), "file://$/landing/a.csv");
    let inside = world.guard.external_location(&world.text("file://$/landing/current"));
    assert_eq!(world.answer(inside), "Denied", "a link that was put there later");
}

#[test]
fn local_roots_narrow_local_paths_only() {
    let world = World::new(Some(&["landing"]));
    world.check_user("$/landing/a.csv", "file://$/landing/a.csv");
    world.check_user("$/elsewhere/s", "Denied");
    world.check_user("$/landing/out/s", "Denied");
    world.check_user("$/landing-of-others/x", "Denied");
    world.check_user("/etc/passwd", "Denied");
    world.check_user("s3://bucket/a", "s3://bucket/a");
}

#[test]
fn a_table_holds_files_under_its_location_only() {
    let world = World::new(None);
    let check = |table: &str, url: &str, expected: &str| {
        let result = world.guard.table_file(&world.text(table), &world.text(url));
        assert_eq!(world.answer(result), expected, "{url:?} of {table:?}");
    };
    let table = "file://$/data/warehouse/public/t-1";
    check(table, &format!("{table}/data/a.parquet"), &format!("{table}/data/a.parquet"));
    check(table, &format!("{table}/data/new/b.parquet"), &format!("{table}/data/new/b.parquet"));
    check("s3://b/t", "s3a://b/t/data/x", "s3a://b/t/data/x");
    for outside in [
        "file:///etc/passwd",
        "file://$/data/catalog/CURRENT",
        "file://$/data/warehouse/public/t-12/data/a",
        "file://$/data/warehouse/public/t-1",
        "file://$/data/warehouse/public/t-1/",
        "file://$/data/warehouse/public/t-1/data/link",
        "s3://b/data/warehouse/public/t-1/data/a",
    ] {
        check(table, outside, "Denied");
    }
    check("s3://b/t", "s3://c/t/x", "Denied");
    check("s3://b", "s3://b/x", "Denied");
    for invalid in
        ["file://$/data/warehouse/public/t-1/../t-2/a", "file://$/data/warehouse/public/t-1/%2e%2e/x", "/x"]
    {
        check(table, invalid, "InvalidArgument");
    }
    check(table, "gs://b/x", "Unsupported");
}

#[test]
fn a_new_table_is_put_where_nothing_of_ours_is() {
    let world = World::new(None);
    let check = |text: &str, expected: &str| {
        let text = world.text(text);
        assert_eq!(world.answer(world.guard.table_location(&principal(true), &text)), expected, "{text:?}");
    };
    check("$/elsewhere/t/", "file://$/elsewhere/t");
    check("s3://bucket/t", "s3://bucket/t");
    check("$/data/x", "Denied");
    check("$/data/warehouse/x", "Denied");
    check("$", "Denied");
    check("/", "InvalidArgument");
    check("s3://bucket/", "InvalidArgument");
    check("$/elsewhere/*", "InvalidArgument");
    let denied = world.guard.table_location(&principal(false), "s3://bucket/t").expect_err("it is denied");
    assert_eq!(denied.kind, ErrorKind::Denied);
}

#[test]
fn our_own_files_are_in_the_warehouse() {
    let world = World::new(None);
    let own = |text: &str| world.answer(world.guard.own(&world.text(text)));
    assert_eq!(own("file://$/data/warehouse/public/x"), "file://$/data/warehouse/public/x");
    assert_eq!(own("file://$/data/catalog"), "Internal");
    assert_eq!(own("file://$/data/warehouse2/x"), "Internal");
}

#[test]
fn listing_leaves_out_what_users_may_not_see() {
    let world = World::new(None);
    let folder = world.guard.user_path(&principal(true), &world.text("$/")).expect("the folder");
    let listed = |name: &str| {
        let key = world.text(&format!("$/{name}"));
        world.guard.listed(&folder, key.trim_start_matches('/')).expect("an answer").is_some()
    };
    assert!(listed("landing/a.csv"));
    assert!(listed("landing/out/s"));
    assert!(!listed("data/catalog/CURRENT"));
    assert!(!listed("data/warehouse/public/t-1/data/a.parquet"));
    assert!(!listed("landing/current"));
    assert!(!listed("landing/dangling"));
}

#[test]
fn an_error_shows_no_password() {
    let world = World::new(None);
    for text in ["s3://key:hunter2@bucket/x", "https://key:hunter2@host/x"] {
        let error = world.guard.user_path(&principal(true), text).expect_err("it is refused");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
