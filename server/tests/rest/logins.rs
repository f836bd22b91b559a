//! Who is let in, with what, and for how long.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::client::Client;
use super::support::start;

const CONFIG: &str = "/v1/config";

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_without_saying_who_they_are() {
    let running = start().await;
    let nobody = Client::unknown(&running);
    let refused = nobody.get(CONFIG).await;
    assert_eq!(refused.error(), (401, "NotAuthorizedException"));
    assert!(refused.header("www-authenticate").is_some());
    for header in ["Bearer", "Bearer ", "Digest x", "Basic x", "Basic Og=="] {
        assert_eq!(nobody.with("Authorization", header).get(CONFIG).await.status, 401, "{header}");
    }
    // What tells nothing of data is for everybody.
    assert!(
        nobody.get("/openapi.yaml").await.body.as_str().is_some_and(|text| text.contains("openapi: 3.1"))
    );
    let superuser = Client::superuser(&running).await;
    let config = superuser.get("/v1/config?warehouse=lake").await.good();
    assert_eq!(config["overrides"]["prefix"], "lake");
    assert!(config["endpoints"].as_array().is_some_and(|endpoints| endpoints.len() > 20));
    assert_eq!(superuser.get("/v1/config?warehouse=other").await.error(), (404, "NoSuchWarehouseException"));
    assert_eq!(superuser.get("/v1/other/namespaces").await.error(), (404, "NoSuchWarehouseException"));
    assert_eq!(superuser.get("/v1/lake/nothing").await.status, 404);
    assert_eq!(superuser.send("PUT", CONFIG, b"").await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_exchanged_for_a_token_that_ends_with_it() {
    let running = start().await;
    let sql = running.connect().await;
    sql.batch_execute("CREATE ROLE anna LOGIN PASSWORD 'pencil'; CREATE ROLE group_of_some")
        .await
        .expect("roles");
    let nobody = Client::unknown(&running);
    for (user, password) in [("anna", "pen"), ("anna", ""), ("nobody", "pencil"), ("group_of_some", "")] {
        let refused = nobody.token(user, password).await;
        assert_eq!((refused.status, &refused.body["error"]), (401, &"invalid_client".into()), "{user}");
    }
    let wrong = nobody.send("POST", "/v1/oauth/tokens", b"grant_type=password").await;
    assert_eq!((wrong.status, &wrong.body["error"]), (400, &"unsupported_grant_type".into()));
    let token = nobody.token("anna", "pencil").await.good();
    assert_eq!(token["token_type"], "bearer");
    let text = token["access_token"].as_str().expect("a token").to_owned();
    let anna = nobody.with("Authorization", &format!("Bearer {text}"));
    assert_eq!(anna.get(CONFIG).await.status, 200);
    let basic = format!("Basic {}", STANDARD.encode("anna:pencil"));
    assert_eq!(nobody.with("Authorization", &basic).get(CONFIG).await.status, 200);

    let exchange =
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token_type=x";
    let exchange = format!("{exchange}&subject_token={text}");
    let exchanged = nobody.send("POST", "/v1/oauth/tokens", exchange.as_bytes());
    assert!(exchanged.await.good()["access_token"].as_str().is_some());

    sql.batch_execute("ALTER ROLE anna PASSWORD 'brush'").await.expect("a new password");
    assert_eq!(anna.get(CONFIG).await.status, 401);
    let again = Client::of(&running, "anna", "brush").await;
    sql.batch_execute("ALTER ROLE anna NOLOGIN").await.expect("no login");
    assert_eq!(again.get(CONFIG).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_can_be_made_or_changed() {
    let running = start().await;
    let nobody = Client::unknown(&running);
    let token = nobody.token("tarn", "").await.good();
    let bytes = URL_SAFE_NO_PAD.decode(token["access_token"].as_str().expect("a token")).expect("base64");
    let status = async |bytes: &[u8]| {
        let header = format!("Bearer {}", URL_SAFE_NO_PAD.encode(bytes));
        nobody.with("Authorization", &header).get(CONFIG).await.status
    };
    assert_eq!(status(&bytes).await, 200);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert_eq!(status(&changed).await, 401, "byte {at}");
    }
    assert_eq!(status(&bytes[..bytes.len() - 1]).await, 401);
    // A token without a signature, as JSON Web Tokens may be.
    let none = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#),
        URL_SAFE_NO_PAD.encode(r#"{"sub":"tarn","exp":99999999999}"#)
    );
    assert_eq!(nobody.with("Authorization", &format!("Bearer {none}")).get(CONFIG).await.status, 401);
    // Another server has another key.
    let other = start().await;
    let foreign = Client::superuser(&other).await;
    assert_eq!(foreign.get(CONFIG).await.status, 200);
    let token = Client::unknown(&other).token("tarn", "").await.good();
    let header = format!("Bearer {}", token["access_token"].as_str().expect("a token"));
    assert_eq!(nobody.with("Authorization", &header).get(CONFIG).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_through_a_proxy_is_not_from_this_machine() {
    let running = start().await;
    let far = Client::unknown(&running).with("X-Forwarded-For", "203.0.113.7");
    assert_eq!(far.token("tarn", "").await.status, 401);
    let near = Client::superuser(&running).await;
    assert_eq!(near.get(CONFIG).await.status, 200);
    assert_eq!(near.with("Forwarded", "for=203.0.113.7").get(CONFIG).await.status, 401);
}
