//! The members of the US Congress (public domain, unitedstates/congress-legislators), as they are published: CSV and
//! JSON files of several shapes in one folder. The folder is not part of the project; without it the test says so.

use super::*;

/// Beside the project's own folder.
fn legislators() -> Option<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let beside = [project.join("../shared/data/legislators"), project.join("../../shared/data/legislators")];
    let found = beside.into_iter().find_map(|folder| folder.canonicalize().ok());
    if found.is_none() {
        eprintln!("skipped: there is no ../shared/data/legislators beside the project");
    }
    found
}

#[tokio::test]
async fn every_file_has_its_rows() {
    let Some(folder) = legislators() else { return };
    let lake = Lake::new();
    let report = lake.crawl_folder(&folder).await.expect("the crawl runs");
    for line in lines(&report) {
        assert_eq!(line.action, "created", "{line:?}");
    }
    for (table, rows) in [
        ("legislators_current_csv", 537),
        ("legislators_current_json", 537),
        ("legislators_historical", 12230),
        ("committee_membership_current_csv", 3879),
        ("legislators_district_offices_csv", 1312),
        ("legislators_district_offices_json", 536),
        ("legislators_social_media", 519),
        ("executive", 80),
        ("committees_current", 49),
    ] {
        assert_eq!(lake.count(table).await, rows, "{table}");
    }
}

#[tokio::test]
async fn values_are_what_they_were() {
    let Some(folder) = legislators() else { return };
    let lake = Lake::new();
    lake.crawl_folder(&folder).await.expect("the crawl runs");
    for (sql, expect) in [
        (
            "SELECT count(*), count(DISTINCT l.bioguide_id), count(DISTINCT m.committee_id) \
             FROM legislators_current_csv l JOIN committee_membership_current_csv m ON l.bioguide_id = m.bioguide",
            "3879|528|228",
        ),
        ("SELECT thomas_id FROM legislators_current_csv WHERE last_name = 'Cantwell'", "00172"),
        ("SELECT id['thomas'] FROM legislators_current_json WHERE name['last'] = 'Cantwell'", "00172"),
        ("SELECT count(*) FROM (SELECT unnest(terms) FROM executive)", "131"),
        ("SELECT count(*) FROM (SELECT unnest(value) FROM committee_membership_current_json)", "3879"),
        ("SELECT min(birthday) FROM legislators_historical", "1721-04-19"),
        ("SELECT count(*) FROM legislators_district_offices_csv WHERE zip LIKE '0%'", "106"),
    ] {
        assert_eq!(lake.query(sql).await.expect(sql), [expect], "{sql}");
    }
}

#[tokio::test]
async fn a_second_crawl_changes_nothing() {
    let Some(folder) = legislators() else { return };
    let lake = Lake::new();
    lake.crawl_folder(&folder).await.expect("the crawl runs");
    let sequence = lake.sequence();
    let report = lake.crawl_folder(&folder).await.expect("the crawl runs again");
    for line in lines(&report) {
        assert_eq!((line.action.as_str(), line.reason), ("unchanged", None), "{:?}", line.table);
    }
    assert_eq!(lake.sequence(), sequence);
}
