//! The description of the API is the one that is committed, and it and its page are served.

use crate::api::{settings, start};
use tidings_server::api::document;

#[tokio::test(flavor = "multi_thread")]
async fn the_committed_description_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, document()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == document(),
        "run with UPDATE_DOCS=1 to write docs/openapi.json again"
    );
    let (running, client) = start(settings()).await;
    let served = client.raw("GET", "/api/v1/openapi.json", vec![], "").await;
    assert_eq!(served.status, 200);
    assert!(served.text == committed);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_files_come_from_here() {
    let (running, client) = start(settings()).await;
    let page = client.raw("GET", "/docs/", vec![], "").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self';"), "{policy}");
    for file in ["swagger-ui-bundle.js", "swagger-ui.css", "docs.js"] {
        assert!(page.text.contains(file));
        let path = format!("/docs/{file}");
        assert_eq!(
            client.raw("GET", &path, vec![], "").await.status,
            200,
            "{path}"
        );
    }
    assert!(
        !page.text.contains("://"),
        "nothing is loaded from elsewhere"
    );
    for path in ["/healthz", "/readyz", "/docs"] {
        assert!(
            client.raw("GET", path, vec![], "").await.status < 400,
            "{path}"
        );
    }
    running.stop().await;
}
