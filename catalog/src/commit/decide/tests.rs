//! The decision as a table: what was committed, what is tried on which version, and the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::access::{Privilege, Privileges};
use crate::change::Change;
use crate::commit::{Committer, IntentChange, Prepared, Work, WriteIntent};
use crate::env::SeededEnv;
use crate::id::{
    CatalogId, CommitSequence, NamespaceId, PUBLIC_ROLE, RelationId, RoleId, SUPERUSER, WriteId,
};
use crate::object::{
    Database, Grant, Namespace, Relation, RelationKind, Role, Securable, TablePointer, View, ViewColumn,
};
use crate::store::{Memory, Store};
use crate::transaction::Ids;

const LAKE: CatalogId = CatalogId(5);
const RAW: NamespaceId = NamespaceId(100);
const ALICE: RoleId = RoleId(200);
const BOB: RoleId = RoleId(201);
const ORDERS: RelationId = RelationId(300);
const SALES: RelationId = RelationId(301);

fn role(id: RoleId, name: &str) -> Role {
    Role {
        id,
        name: name.into(),
        superuser: id == SUPERUSER,
        login: true,
        create_role: false,
        create_schema: false,
        verifier: None,
        member_of: Vec::new(),
        comment: None,
    }
}

fn member(id: RoleId, name: &str, of: &[RoleId]) -> Role {
    Role { member_of: of.to_vec(), ..role(id, name) }
}

fn namespace(id: NamespaceId, name: &str, owner: RoleId) -> Namespace {
    Namespace {
        id,
        catalog: LAKE,
        name: name.into(),
        owner,
        comment: None,
        properties: BTreeMap::new(),
        created_at_ms: 0,
    }
}

fn raw() -> Namespace {
    namespace(RAW, "raw", ALICE)
}

fn relation(id: RelationId, name: &str, kind: RelationKind) -> Relation {
    Relation { id, namespace: RAW, name: name.into(), owner: ALICE, comment: None, created_at_ms: 0, kind }
}

fn orders() -> Relation {
    relation(ORDERS, "orders", RelationKind::Table)
}

fn sales() -> Relation {
    let column = ViewColumn { name: "n".into(), type_oid: 20, type_modifier: -1, comment: None };
    let view = View {
        sql: "SELECT 1 AS n".into(),
        search_path: vec!["raw".into()],
        columns: vec![column],
        iceberg: None,
    };
    relation(SALES, "sales", RelationKind::View(view))
}

fn pointer(version: u32) -> TablePointer {
    TablePointer {
        metadata_location: format!("memory:///orders/metadata/{version:05}.metadata.json"),
        location: "memory:///orders".into(),
        uuid: uuid::Uuid::nil(),
        format_version: 2,
        snapshot_id: None,
        row_count: 0,
        bytes: 0,
        constrained: false,
        unsupported: None,
    }
}

fn moved(before: Option<u32>, after: u32) -> Change {
    Change::MovePointer {
        relation: ORDERS,
        before: before.map(pointer),
        after: pointer(after),
        metadata_json: Bytes::from_static(b"a copy"),
    }
}

fn grant(on: Securable, to: RoleId, privileges: &[Privilege]) -> Grant {
    let privileges = Privileges::of(privileges.iter().copied());
    Grant { on, to, privileges, grantable: Privileges::NONE }
}

fn granted(before: Option<Grant>, after: Grant) -> Change {
    Change::SetGrant { before, after }
}

fn updated(before: Relation, after: Relation) -> Change {
    Change::UpdateRelation { before, after }
}

/// Commits 1 and 2 of every case: two roles, a schema of Alice's, a table at version 0 and a view in it.
fn world() -> Vec<Vec<Change>> {
    let database =
        Database { id: LAKE, name: "lake".into(), owner: SUPERUSER, comment: None, created_at_ms: 0 };
    vec![
        vec![
            Change::CreateRole(role(SUPERUSER, "tarn")),
            Change::CreateDatabase(database),
            Change::CreateRole(role(ALICE, "alice")),
            Change::CreateRole(role(BOB, "bob")),
        ],
        vec![
            Change::CreateNamespace(raw()),
            Change::CreateRelation(orders()),
            moved(None, 0),
            Change::CreateRelation(sales()),
        ],
    ]
}

/// The version after [`world`].
const BASE: CommitSequence = CommitSequence(2);

fn committer() -> Arc<Committer> {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let ids = Arc::new(Ids::starting_at(store.head().next_id));
    Committer::new(store, Arc::new(SeededEnv::new(1)), ids)
}

fn prepared(base: CommitSequence, changes: Vec<Change>, unchanged: &[Securable]) -> Prepared {
    Prepared { principal: SUPERUSER, base, changes, unchanged: unchanged.to_vec() }
}

/// Commits `between` after the world was read, then tries `changes` on what was read.
fn check_with(unchanged: &[Securable], between: Vec<Change>, changes: Vec<Change>, expect: &str) {
    let committer = committer();
    let mut head = CommitSequence(0);
    for changes in world().into_iter().chain((!between.is_empty()).then_some(between)) {
        head = committer.submit_alone(prepared(head, changes, &[])).expect("what comes before is allowed");
    }
    let answer = match committer.submit_alone(prepared(BASE, changes.clone(), unchanged)) {
        Ok(sequence) => {
            assert_eq!(sequence.0, head.0 + 1);
            "ok".to_owned()
        }
        Err(error) => {
            format!("{:?}: {}", error.kind, error.detail.unwrap_or(error.message))
        }
    };
    assert_eq!(answer, expect, "{changes:#?}");
}

fn check(between: Vec<Change>, changes: Vec<Change>, expect: &str) {
    check_with(&[], between, changes, expect);
}

fn conflict(what: &str) -> String {
    format!("Conflict: Another transaction that committed first changed or dropped {what}.")
}

#[test]
fn names_are_unique() {
    let create = |namespace| vec![Change::CreateNamespace(namespace)];
    check(vec![], create(namespace(NamespaceId(101), "RAW", BOB)), "ok");
    let exists = "AlreadyExists(Namespace): schema \"raw\" already exists";
    check(vec![], create(namespace(NamespaceId(101), "raw", BOB)), exists);
    let exists = "AlreadyExists(Relation): relation \"orders\" already exists";
    let view = Relation { name: "orders".into(), id: RelationId(302), ..sales() };
    check(vec![], vec![Change::CreateRelation(view)], exists);
    check(vec![], vec![updated(sales(), Relation { name: "orders".into(), ..sales() })], exists);
    let exists = "AlreadyExists(Role): role \"bob\" already exists";
    check(vec![], vec![Change::CreateRole(role(RoleId(202), "bob"))], exists);
    let rename = Change::UpdateRole { before: role(ALICE, "alice"), after: role(ALICE, "bob") };
    check(vec![], vec![rename], exists);
}

#[test]
fn names_are_checked() {
    let create = |name| vec![Change::CreateNamespace(namespace(NamespaceId(101), name, BOB))];
    check(vec![], create("pg_temp"), "InvalidName: The prefix \"pg_\" is reserved for system schemas.");
    check(vec![], create("system"), "InvalidName: The schema \"system\" is provided by the server.");
    let slash = "InvalidName: The character is \"/\".";
    check(vec![], create("a/b"), slash);
    check(vec![], vec![updated(sales(), Relation { name: "a/b".into(), ..sales() })], slash);
    let reserved = "InvalidName: Role names starting with \"pg_\" are reserved.";
    check(vec![], vec![Change::CreateRole(role(RoleId(202), "pg_x"))], reserved);
}

#[test]
fn a_name_given_up_in_the_same_transaction_is_free() {
    let second = Relation { name: "orders".into(), id: RelationId(302), ..sales() };
    check(vec![], vec![Change::DropRelation(orders()), Change::CreateRelation(second)], "ok");
    let swap = |from: Relation, to: &str| updated(from.clone(), Relation { name: to.into(), ..from });
    let aside = Relation { name: "aside".into(), ..orders() };
    let (renamed, second) = (swap(orders(), "aside"), swap(sales(), "orders"));
    check(
        vec![],
        vec![renamed, second, updated(aside.clone(), Relation { name: "sales".into(), ..aside })],
        "ok",
    );
}

#[test]
fn who_comes_second_conflicts() {
    let comment = |text: &str| updated(orders(), Relation { comment: Some(text.into()), ..orders() });
    check(vec![comment("first")], vec![comment("second")], &conflict("the table orders"));
    check(vec![Change::DropRelation(orders())], vec![comment("second")], &conflict("the table orders"));
    check(
        vec![Change::DropRelation(orders())],
        vec![Change::DropRelation(orders())],
        &conflict("the table orders"),
    );
    check(vec![comment("first")], vec![Change::DropRelation(orders())], &conflict("the table orders"));
    // The other object was left alone.
    check(vec![Change::DropRelation(sales())], vec![comment("second")], "ok");
    let lost = vec![comment("first"), comment("second")];
    check(
        vec![],
        lost,
        "Internal: a change of the table orders does not start from what the transaction made of it",
    );
}

#[test]
fn what_something_new_leans_on_must_be_there() {
    let empty =
        vec![Change::DropRelation(orders()), Change::DropRelation(sales()), Change::DropNamespace(raw())];
    let view = Relation { name: "v".into(), id: RelationId(302), ..sales() };
    check(empty.clone(), vec![Change::CreateRelation(view)], &conflict("the schema of a relation"));
    let usage = grant(Securable::Namespace(RAW), BOB, &[Privilege::Usage]);
    check(empty, vec![granted(None, usage.clone())], &conflict("the object of a grant"));
    let no_bob = vec![Change::DropRole(role(BOB, "bob"))];
    let named = conflict("a role that this transaction names");
    check(no_bob.clone(), vec![granted(None, usage)], &named);
    check(no_bob.clone(), vec![updated(orders(), Relation { owner: BOB, ..orders() })], &named);
    check(no_bob, vec![Change::CreateRole(member(RoleId(202), "carol", &[BOB]))], &named);
}

#[test]
fn pointers_move_from_where_they_are() {
    check(vec![], vec![moved(Some(0), 1)], "ok");
    // The base version does not count: the writer may have built on what came in between.
    check(vec![moved(Some(0), 1)], vec![moved(Some(1), 2)], "ok");
    check(vec![moved(Some(0), 1)], vec![moved(Some(0), 2)], &conflict("the table orders"));
    check(vec![], vec![moved(None, 1)], &conflict("the table orders"));
    check(vec![], vec![moved(Some(0), 1), moved(Some(1), 2)], "ok");
    let dropped = vec![Change::DropRelation(orders())];
    check(dropped, vec![moved(Some(0), 1)], &conflict("a table that this transaction writes to"));
    let renamed = vec![updated(orders(), Relation { name: "renamed".into(), ..orders() })];
    check(renamed, vec![moved(Some(0), 1)], "ok");
}

#[test]
fn a_table_has_metadata() {
    let table = Relation { name: "t".into(), id: RelationId(302), ..orders() };
    let without = "Internal: the table t is created without metadata";
    check(vec![], vec![Change::CreateRelation(table.clone())], without);
    check(vec![], vec![Change::CreateRelation(table.clone()), Change::DropRelation(table)], "ok");
}

#[test]
fn a_schema_with_content_stays() {
    let drop = || Change::DropNamespace(raw());
    check(vec![], vec![drop()], "DependentObjects: It still contains orders, sales.");
    check(vec![], vec![Change::DropRelation(orders()), drop()], "DependentObjects: It still contains sales.");
    check(vec![], vec![Change::DropRelation(orders()), Change::DropRelation(sales()), drop()], "ok");
    let moved_away = Change::CreateNamespace(namespace(NamespaceId(101), "other", BOB));
    let moves =
        [orders(), sales()].map(|r| updated(r.clone(), Relation { namespace: NamespaceId(101), ..r }));
    check(vec![moved_away], moves.into_iter().chain([drop()]).collect(), "ok");
}

#[test]
fn roles_that_own_or_hold_stay() {
    let drop = |id, name| vec![Change::DropRole(role(id, name))];
    check(vec![], drop(BOB, "bob"), "ok");
    check(vec![], drop(ALICE, "alice"), "DependentObjects: It owns schemas or relations.");
    let first = "DependentObjects: It is the first superuser, which is always there.";
    check(vec![], drop(SUPERUSER, "tarn"), first);
    let select = grant(Securable::Relation(ORDERS), BOB, &[Privilege::Select]);
    let held = "DependentObjects: It holds privileges on schemas or relations.";
    check(vec![granted(None, select.clone())], drop(BOB, "bob"), held);
    // A grant goes with its object, and with its last privilege.
    check(vec![granted(None, select.clone()), Change::DropRelation(orders())], drop(BOB, "bob"), "ok");
    let nothing = grant(select.on, BOB, &[]);
    check(vec![granted(None, select.clone()), granted(Some(select), nothing)], drop(BOB, "bob"), "ok");
    let given = updated(orders(), Relation { owner: BOB, ..orders() });
    check(vec![given], drop(BOB, "bob"), "DependentObjects: It owns schemas or relations.");
}

#[test]
fn membership_has_no_circle() {
    let join = |before: Role, of: &[RoleId]| {
        vec![Change::UpdateRole { after: Role { member_of: of.to_vec(), ..before.clone() }, before }]
    };
    let circle = "InvalidArgument: role bob would become a member of itself";
    check(vec![], join(role(BOB, "bob"), &[BOB]), circle);
    check(join(role(ALICE, "alice"), &[BOB]), join(role(BOB, "bob"), &[ALICE]), circle);
    check(vec![], join(role(BOB, "bob"), &[ALICE]), "ok");
    let public = "InvalidArgument: membership of the pseudo-role public cannot be granted";
    check(vec![], join(role(BOB, "bob"), &[PUBLIC_ROLE]), public);
}

#[test]
fn the_first_superuser_stays_one() {
    let root = role(SUPERUSER, "tarn");
    let update = |after| vec![Change::UpdateRole { before: root.clone(), after }];
    let refused = "InvalidArgument: role tarn must stay a superuser that may log in";
    check(vec![], update(Role { superuser: false, ..root.clone() }), refused);
    check(vec![], update(Role { login: false, ..root.clone() }), refused);
    check(vec![], update(Role { name: "root".into(), ..root.clone() }), "ok");
}

#[test]
fn grants_fit_their_object() {
    let on_table =
        |privileges: &[Privilege]| vec![granted(None, grant(Securable::Relation(ORDERS), BOB, privileges))];
    check(vec![], on_table(&[Privilege::Select, Privilege::Truncate]), "ok");
    let unfit = "InvalidArgument: the privileges of a grant do not fit its object";
    check(vec![], on_table(&[Privilege::Usage]), unfit);
    check(vec![], vec![granted(None, grant(Securable::Namespace(RAW), BOB, &[Privilege::Select]))], unfit);
    let select = grant(Securable::Relation(ORDERS), BOB, &[Privilege::Select]);
    let passed_on = Grant { grantable: Privileges::of([Privilege::Insert]), ..select.clone() };
    check(vec![], vec![granted(None, passed_on)], unfit);
    let changed = conflict("the privileges on an object");
    check(vec![granted(None, select.clone())], vec![granted(None, select.clone())], &changed);
    check(vec![], vec![granted(Some(select.clone()), select)], &changed);
    check(
        vec![],
        vec![granted(None, grant(Securable::Relation(ORDERS), PUBLIC_ROLE, &[Privilege::Select]))],
        "ok",
    );
}

#[test]
fn sources_of_a_view_stay_as_they_were_read() {
    let view = || vec![Change::CreateRelation(Relation { name: "v".into(), id: RelationId(302), ..sales() })];
    let source = [Securable::Relation(ORDERS)];
    let changed = conflict("an object that this transaction read");
    check_with(&source, vec![], view(), "ok");
    check_with(&source, vec![Change::DropRelation(orders())], view(), &changed);
    let renamed = updated(orders(), Relation { name: "renamed".into(), ..orders() });
    check_with(&source, vec![renamed], view(), &changed);
    // New data in a source does not change what the view means.
    check_with(&source, vec![moved(Some(0), 1)], view(), "ok");
}

#[tokio::test]
async fn a_write_is_committed_or_given_up_and_never_both() -> crate::error::Result<()> {
    let write = WriteId(uuid::Uuid::from_u128(7));
    let begun = WriteIntent { write, location: "memory:///orders".into(), begun_at_ms: 0, abandoned: false };
    for given_up_first in [true, false] {
        let committer = committer();
        committer.submit(Work::Intent(IntentChange::Begin(begun.clone())), vec![]).await?;
        let finish = || Work::Commit(prepared(CommitSequence(0), vec![Change::FinishWrite(write)], &[]));
        let give_up = || Work::Intent(IntentChange::Abandon(write));
        let (first, second) = if given_up_first { (give_up(), finish()) } else { (finish(), give_up()) };
        committer.submit(first, vec![]).await?;
        let refused = committer.submit(second, vec![]).await;
        assert_eq!(refused.map_err(|error| error.kind), Err(crate::error::ErrorKind::Conflict));
    }
    Ok(())
}
