//! Who is let in: roles without a password, with one, without the right to log in, and those that do not exist.

mod support;

use support::{start, start_with};

/// The SQLSTATE that a connection fails with.
async fn refused(running: &support::Running, user: &str, password: Option<&str>) -> String {
    match running.connect_as(user, password).await {
        Ok(_) => "let in".to_owned(),
        Err(error) => error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_and_checked() {
    let running = start().await;
    let admin = running.connect().await;
    admin
        .batch_execute(
            "CREATE ROLE anna LOGIN PASSWORD 'correct horse'; CREATE ROLE group_only; CREATE ROLE ben LOGIN",
        )
        .await
        .expect("the superuser may");
    assert_eq!(refused(&running, "anna", Some("correct horse")).await, "let in");
    assert_eq!(refused(&running, "anna", Some("wrong horse")).await, "28P01");
    assert_eq!(refused(&running, "nobody", Some("anything")).await, "28P01");
    assert_eq!(refused(&running, "ben", None).await, "let in");
    assert_eq!(refused(&running, "group_only", None).await, "28000");
    let client = running.connect_as("anna", Some("correct horse")).await.expect("she is let in");
    let row = client.query_one("SELECT current_user::text AS u", &[]).await.expect("she may ask who she is");
    assert_eq!(row.get::<_, String>("u"), "anna");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_does_not_exist_looks_like_one_with_a_password() {
    let running = start().await;
    let admin = running.connect().await;
    admin.batch_execute("CREATE ROLE anna LOGIN PASSWORD 'secret'").await.expect("the superuser may");
    let mut shapes = Vec::new();
    for user in ["anna", "nobody"] {
        let mut answers = Vec::new();
        for _ in 0..2 {
            let mut wire = running.dial().await;
            wire.startup(&[("user", user), ("database", "lake")]).await;
            assert_eq!(wire.next().await, "R 10");
            let first = b"SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abcd";
            wire.message(b'p', first).await;
            answers.push(server_first(&mut wire).await);
        }
        // Asked twice, it names the same salt.
        assert_eq!(answers[0], answers[1], "{user}");
        shapes.push((answers[0].0.len(), answers[0].1.clone()));
    }
    assert_eq!(shapes[0], shapes[1], "salt length and iterations tell which role exists");
}

/// Salt and iterations of the server's first SCRAM message.
async fn server_first(wire: &mut support::Wire) -> (String, String) {
    use tokio::io::AsyncReadExt;
    let mut head = [0; 9];
    wire.stream.read_exact(&mut head).await.expect("a message");
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let mut body = vec![0; length - 8];
    wire.stream.read_exact(&mut body).await.expect("a message");
    let text = String::from_utf8(body).expect("text");
    let mut parts = text.split(',').skip(1).map(str::to_owned);
    (parts.next().expect("a salt"), parts.next().expect("iterations"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_not_scram_is_refused() {
    let running = start().await;
    let admin = running.connect().await;
    admin.batch_execute("CREATE ROLE anna LOGIN PASSWORD 'secret'").await.expect("the superuser may");
    let cases: [(u8, &[u8]); 5] = [
        (b'p', b"secret\0"),
        (b'p', b"SCRAM-SHA-1\0\0\0\0\x0cn,,n=,r=abcd"),
        (b'p', b"SCRAM-SHA-256\0\x7f\xff\xff\xffn,,n=,r=abcd"),
        (b'p', b"SCRAM-SHA-256\0\0\0\0\x05hello"),
        (b'Q', b"SELECT 1\0"),
    ];
    for (kind, body) in cases {
        let mut wire = running.dial().await;
        wire.startup(&[("user", "anna"), ("database", "lake")]).await;
        assert_eq!(wire.next().await, "R 10");
        wire.message(kind, body).await;
        assert_eq!(wire.until_ready().await, ["E 08P01", "gone"], "{body:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_connections() {
    let running = start_with("[limits]\nconnections = 2").await;
    let first = running.connect().await;
    let _second = running.connect().await;
    assert_eq!(refused(&running, "tarn", None).await, "53300");
    drop(first);
    for _ in 0..100 {
        if refused(&running, "tarn", None).await == "let in" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the place of a closed connection is not given away");
}
