//! Two and three sessions on one table of locks.

use super::*;

const SESSION: LockMode = LockMode { shared: false, transaction: false };
const SHARED: LockMode = LockMode { shared: true, transaction: false };
const TRANSACTION: LockMode = LockMode { shared: false, transaction: true };

fn sessions<const N: usize>() -> [LockOwner; N] {
    let locks = Arc::new(AdvisoryLocks::default());
    std::array::from_fn(|number| LockOwner::new(Arc::clone(&locks), i32::try_from(number).expect("few")))
}

fn is_free(owner: &LockOwner, mode: LockMode) -> bool {
    owner.try_lock(LockKey::one(1), mode).expect("room")
}

#[test]
fn a_lock_is_given_back_as_often_as_it_is_taken() {
    let [a, b] = sessions();
    assert!(is_free(&a, SESSION) && is_free(&a, SESSION));
    assert!(!is_free(&b, SESSION) && !is_free(&b, SHARED));
    assert!(a.unlock(LockKey::one(1), false));
    assert!(!a.unlock(LockKey::one(1), true), "it has no shared one");
    assert!(!b.unlock(LockKey::one(1), false), "it is not its own");
    assert!(!is_free(&b, SESSION));
    assert!(a.unlock(LockKey::one(1), false));
    assert!(!a.unlock(LockKey::one(1), false));
    assert!(is_free(&b, SESSION));
    b.unlock_all();
    assert!(is_free(&a, SHARED) && is_free(&b, SHARED) && !is_free(&a, SESSION));
}

#[test]
fn a_transaction_gives_back_its_own() {
    let [a, b] = sessions();
    assert!(is_free(&a, TRANSACTION) && is_free(&a, SESSION));
    assert!(a.unlock(LockKey::one(1), false));
    assert!(!a.unlock(LockKey::one(1), false), "what a transaction has cannot be given back before its end");
    assert!(!is_free(&b, SESSION));
    a.end_transaction();
    assert!(is_free(&b, SESSION));
    b.end_session();
    assert_eq!(a.rows(), []);
}

#[test]
fn one_number_is_not_two() {
    let [a, b] = sessions();
    assert!(a.try_lock(LockKey::two(0, 1), SESSION).expect("room"));
    assert!(is_free(&b, SESSION));
    let key = LockKey::one(-2);
    assert_eq!((key.class, key.object, key.kind), (u32::MAX, u32::MAX - 1, 1));
}

#[tokio::test]
async fn who_waits_gets_its_turn_in_order() {
    let [a, b, c] = sessions();
    assert!(is_free(&a, SESSION));
    let wait = |owner: &LockOwner, mode: LockMode| {
        let owner = owner.clone();
        tokio::spawn(async move { owner.lock(LockKey::one(1), mode).await })
    };
    let second = wait(&b, SESSION);
    while a.rows().len() < 2 {
        tokio::task::yield_now().await;
    }
    // A shared one does not overtake.
    let third = wait(&c, SHARED);
    while a.rows().len() < 3 {
        tokio::task::yield_now().await;
    }
    a.unlock_all();
    second.await.expect("no panic").expect("its turn");
    assert!(!third.is_finished());
    b.end_session();
    third.await.expect("no panic").expect("its turn");
    assert_eq!(a.rows().len(), 1);
}

#[tokio::test]
async fn waiting_ends_with_time_and_with_who_waits() {
    let [a, mut b, c] = sessions();
    assert!(is_free(&a, SESSION));
    b.timeout = Some(Duration::from_millis(5));
    let late = b.lock(LockKey::one(1), SESSION).await.expect_err("it is taken");
    assert_eq!(late.sqlstate, SqlState::LOCK_NOT_AVAILABLE);
    let dropped = tokio::time::timeout(Duration::from_millis(5), c.lock(LockKey::one(1), SESSION)).await;
    assert!(dropped.is_err());
    assert_eq!(a.rows().len(), 1, "nobody waits any more");
}

#[tokio::test]
async fn sessions_that_wait_for_each_other_are_told() {
    let [a, b] = sessions();
    assert!(is_free(&a, SESSION) && b.try_lock(LockKey::one(2), SESSION).expect("room"));
    let waiting = a.clone();
    let first = tokio::spawn(async move { waiting.lock(LockKey::one(2), SESSION).await });
    while a.rows().len() < 3 {
        tokio::task::yield_now().await;
    }
    let told = b.lock(LockKey::one(1), SESSION).await.expect_err("a deadlock");
    assert_eq!(told.sqlstate, SqlState::DEADLOCK_DETECTED);
    b.end_session();
    first.await.expect("no panic").expect("its turn");
}
