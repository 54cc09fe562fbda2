//! tmp
fn main() {
    let rt = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    rt.block_on(async {
        tracing_subscriber::fmt()
            .with_env_filter("debug")
            .with_writer(std::io::stderr)
            .init();
        let mut s = tidings_server::config::Settings::default();
        s.delivery.durability = tidings_server::store::Durability::Memory;
        s.echo = true;
        let r = tidings_server::Server::start(s).await.unwrap();
        println!("ready {:?}", r.addresses());
        tokio::signal::ctrl_c().await.unwrap();
        r.stop().await;
    });
}
